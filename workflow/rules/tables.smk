# Metrics and overlaps -> tables, one rule a table.
# Every table by name, with its title; those laid out as in papers come first.
TABLE_NAMES = {}
TABLES = []


for table in table_plan.tables(STUDY):
    FORMS = {suffix: LAYOUT.table(table.name, suffix) for suffix in TABLE_SUFFIXES}
    TABLE_NAMES[table.name] = table.title
    TABLES += FORMS.values()

    rule:
        name:
            table.rule
        input:
            table.inputs,
        output:
            csv=report(
                FORMS["csv"],
                caption=f"../report/{table.caption}",
                category="Tables",
                labels={"table": table.title, "form": "CSV, in full precision"},
            ),
            md=FORMS["md"],
            tex=FORMS["tex"],
            html=report(
                FORMS["html"],
                caption=f"../report/{table.caption}",
                category="Tables",
                labels={"table": table.title, "form": "as printed"},
            ),
        log:
            LAYOUT.log(FORMS["csv"]),
        benchmark:
            LAYOUT.benchmark(FORMS["csv"])
        conda:
            ENV
        threads: REQUESTS["table"].threads
        resources:
            **REQUESTS["table"].resources,
        params:
            maker=table.maker,
            arguments=table.arguments,
            title=table.title,
            code=code_digest("mrisr.tables.from_files"),
        message:
            f"Writing the table {table.name}"
        script:
            "../scripts/table.py"


rule tables:
    input:
        TABLES,
