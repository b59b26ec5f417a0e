#!/usr/bin/env perl
# Trilinear interpolation: super_resolve.pl LR.nii.gz GRID.nii.gz > SR.nii
#
# LR is a NIfTI-1 volume of float32, as every LR volume of a study is. SR has the voxels and the
# affine of GRID, along the same axes. Needs Perl and gzip alone. To start from.
use strict;
use warnings;

die "usage: super_resolve.pl LR.nii.gz GRID.nii.gz > SR.nii\n" unless @ARGV == 2;
my ($lr_file, $grid_file) = @ARGV;

# The first bytes of a gzipped file; all of them if no number is given.
sub content {
    my ($file, $count) = @_;
    open(my $pipe, '-|', 'gzip', '-dc', $file) or die "$file: gzip cannot be run: $!\n";
    binmode $pipe;
    my $bytes = '';
    while (!defined $count || length $bytes < $count) {
        last unless read($pipe, $bytes, $count // 1 << 24, length $bytes);
    }
    close $pipe;
    die "$file: is no gzipped NIfTI-1 file\n"
        if length $bytes < 348 || unpack('l<', $bytes) != 348;
    return $bytes;
}

# Shape, and the affine's columns and origin.
sub geometry {
    my ($header) = @_;
    my (undef, @shape) = unpack('s<4', substr($header, 40, 8));
    my @rows = map { [unpack('f<4', substr($header, 280 + 16 * $_, 16))] } 0 .. 2;
    my @columns = map { my $c = $_; [map { $_->[$c] } @rows] } 0 .. 3;
    return (\@shape, \@columns);
}

sub dot { my ($a, $b) = @_; return $a->[0] * $b->[0] + $a->[1] * $b->[1] + $a->[2] * $b->[2] }

my $lr = content($lr_file);
my $header = substr(content($grid_file, 352), 0, 348);
die "$lr_file: voxels are not float32\n" unless unpack('s<', substr($lr, 70, 2)) == 16;
my ($m, $from) = geometry($lr);
my ($n, $to) = geometry($header);
my $start = unpack('f<', substr($lr, 108, 4));
my $plane = $m->[0] * $m->[1];
die "$lr_file: is cut off\n" if length($lr) < $start + 4 * $plane * $m->[2];

# For each axis and each voxel of the grid: the LR voxel before it, and how far it is to the next.
my (@before, @part);
for my $axis (0 .. 2) {
    my ($old, $new) = ($from->[$axis], $to->[$axis]);
    my $squared = dot($old, $old);
    my @apart = map { $to->[3][$_] - $from->[3][$_] } 0 .. 2;
    my ($step, $first) = (dot($new, $old) / $squared, dot(\@apart, $old) / $squared);
    die "$grid_file: its axes are not those of $lr_file\n"
        if abs($step**2 - dot($new, $new) / $squared) > 1e-3 * $step**2;
    my $last = $m->[$axis] - 1;
    for my $i (0 .. $n->[$axis] - 1) {
        my $at = $first + $step * $i;
        $at = $at < 0 ? 0 : $at > $last ? $last : $at;
        my $low = $at < $last ? int $at : $last > 0 ? $last - 1 : 0;
        $before[$axis][$i] = $low;
        $part[$axis][$i] = $at - $low;
    }
}

# Of two lists, the one so far between them.
sub blend {
    my ($p, $q, $t) = @_;
    return $p if $t == 0;
    my $s = 1 - $t;
    return [map { $s * $p->[$_] + $t * $q->[$_] } 0 .. $#$p];
}

my %planes;
sub plane {
    my ($k) = @_;
    $k = $m->[2] - 1 if $k >= $m->[2];
    delete $planes{$_} for grep { $_ < $k - 1 } keys %planes;
    $planes{$k} //= [unpack("f<$plane", substr($lr, $start + 4 * $plane * $k, 4 * $plane))];
    return $planes{$k};
}

# The grid's header, with float32 voxels that mean what they say.
substr($header, 70, 4) = pack('s<2', 16, 32);
substr($header, 108, 12) = pack('f<3', 352, 1, 0);
binmode STDOUT;
print $header, "\0" x 4;
my ($xs, $ts) = ($before[0], $part[0]);
for my $k (0 .. $n->[2] - 1) {
    my $slice = blend(plane($before[2][$k]), plane($before[2][$k] + 1), $part[2][$k]);
    for my $j (0 .. $n->[1] - 1) {
        my ($row, $t) = ($before[1][$j], $part[1][$j]);
        my $next = $row + 1 < $m->[1] ? $row + 1 : $row;
        my @lines = map { [@$slice[$_ * $m->[0] .. ($_ + 1) * $m->[0] - 1]] } $row, $next;
        my $line = blend(@lines, $t);
        push @$line, $line->[-1];
        print pack 'f<*', map { $line->[$xs->[$_]] * (1 - $ts->[$_])
                              + $line->[$xs->[$_] + 1] * $ts->[$_] } 0 .. $n->[0] - 1;
    }
}
close STDOUT or die "cannot be written: $!\n";
