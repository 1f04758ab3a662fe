"""Pure: the text of VACUUM and ANALYZE with the options that a server's version knows. Not here: running them."""

from herald_pipelines.values import quote_identifier

PROCESS_MAIN, BUFFER_LIMIT, ONLY = 16, 16, 18
"""Major versions that were the first with an option."""


def maintenance_statement(
    schema: str,
    table: str,
    *,
    major: int,
    vacuum: bool,
    analyze: bool,
    toast_only: bool = False,
    freeze: bool = False,
    thorough: bool = False,
    emergency: bool = False,
) -> str:
    """Return the statement that does to a table what it needs.

    A locked table is left at once (SKIP_LOCKED) and tried again later, so that nobody queues behind us.

    Args:
        schema: of the table.
        table: its name.
        major: of the server.
        vacuum: VACUUM it.
        analyze: ANALYZE it, too or alone.
        toast_only: nothing but its TOAST table needs VACUUM; before PostgreSQL 16 the table is vacuumed along.
        freeze: freeze every row that is old enough for everybody.
        thorough: clean indexes even of a few dead rows, with the server's parallel workers; else in one process.
        emergency: it is close to wraparound: freeze at full speed, and leave all else out, as the failsafe does.

    >>> maintenance_statement("shop", "Orders", major=18, vacuum=True, analyze=True)
    'VACUUM (ANALYZE, SKIP_LOCKED, PARALLEL 0) ONLY "shop"."Orders"'
    >>> maintenance_statement("shop", "orders", major=15, vacuum=False, analyze=True)
    'ANALYZE (SKIP_LOCKED) "shop"."orders"'
    """
    # Since 18 both go on to the children of a table that others inherit from, which have their own turn.
    target = f"{'ONLY ' if major >= ONLY else ''}{quote_identifier(schema, table)}"
    if not vacuum:
        return f"ANALYZE (SKIP_LOCKED) {target}"
    options = ["ANALYZE"] if analyze else []
    options.append("SKIP_LOCKED")
    if freeze or emergency:
        options.append("FREEZE")
    if emergency:
        options += ["INDEX_CLEANUP OFF", "TRUNCATE OFF"]
        if major >= BUFFER_LIMIT:
            options.append("BUFFER_USAGE_LIMIT 0")
    elif thorough:
        options.append("INDEX_CLEANUP ON")
    elif not freeze:
        options.append("PARALLEL 0")
    if toast_only and major >= PROCESS_MAIN and not analyze:
        options.append("PROCESS_MAIN OFF")
    return f"VACUUM ({', '.join(options)}) {target}"
