# LR volume and the grid of the ground truth -> SR volume, by a program that is not Python.
rule:
    name:
        f"reconstruct_{METHOD.name}"
    input:
        program=f"{METHOD.folder}/super_resolve.pl",
        lr=LAYOUT.lr("{dataset}", "{scale}", "{subject}"),
        reference=grid_file,  # its voxels may be looked at for their places alone
    output:
        LAYOUT.sr("{dataset}", METHOD.name, "{scale}", "{subject}"),
    log:
        LAYOUT.log(LAYOUT.sr_stem("{dataset}", METHOD.name, "{scale}", "{subject}")),
    benchmark:
        LAYOUT.benchmark(LAYOUT.sr_stem("{dataset}", METHOD.name, "{scale}", "{subject}"))
    conda:
        "env.yaml"  # with --sdm conda; for --sdm apptainer: container: "docker://perl:5.40"
    threads: METHOD.threads("reconstruct")
    resources:
        **METHOD.resources("reconstruct"),
    message:
        f"Reconstructing {{wildcards.dataset}} {{wildcards.subject}} with {METHOD.name}"
    # The figure of cost takes device and threads from the log.
    shell:
        "(echo 'on a CPU, {threads} threads' >&2;"
        " perl {input.program:q} {input.lr:q} {input.reference:q} | gzip -n > {output:q})"
        " 2> {log:q}"
