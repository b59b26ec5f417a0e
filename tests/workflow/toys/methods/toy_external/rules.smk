# Any program that makes the files of the contract: here, one that copies.
rule:
    name:
        f"reconstruct_{METHOD.name}"
    input:
        lr=LAYOUT.lr("{dataset}", "{scale}", "{subject}"),
        reference=grid_file,
    output:
        LAYOUT.sr("{dataset}", METHOD.name, "{scale}", "{subject}"),
    log:
        LAYOUT.log(LAYOUT.sr("{dataset}", METHOD.name, "{scale}", "{subject}")),
    shell:
        "cp {input.reference:q} {output:q} 2> {log:q}"
