"""What a role lacks to maintain a table or index, as the statements that would give it. Not here: asking the server."""

from herald_pipelines.resources.postgres import Row
from herald_pipelines.values import quote_identifier


def explain_missing_right(row: Row, doing: str) -> str:
    """Return which right is missing, and what mends it.

    Args:
        row: of a query find_forbidden.
        doing: what the role may not do: "rebuild it".
    """
    role = quote_identifier(row["role"])
    cures: list[str] = []
    if not row["may_use_schema"]:
        cures.append(f"grant usage on schema {quote_identifier(row['schema'])} to {role}")
    if not row["may_maintain"] and row["missing_role"] is None:
        cures.append(f"give its table another owner than the superuser {quote_identifier(row['owner'])}")
    elif not row["may_maintain"]:
        cures += _grants(row, role, quote_identifier(row["missing_role"]))
    return f"role {role} may not {doing}: {'; '.join(cures)}"


def _grants(row: Row, role: str, missing: str) -> list[str]:
    """Return what gives a role the rights of another, whether or not it inherits those of its groups."""
    if row["inherits"] and not row["is_member"]:
        return [f"grant {missing} to {role}"]
    if row["may_inherit_by_grant"]:
        return [f"grant {missing} to {role} with inherit true"]
    return [*([] if row["is_member"] else [f"grant {missing} to {role}"]), f"alter role {role} inherit"]
