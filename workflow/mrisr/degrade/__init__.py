"""Low resolution as matrices and operators, and interpolation back."""
