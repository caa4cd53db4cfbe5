"""The statements of the table `apps`."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app of one person; `branding` is a JSON object as text."""

    id: str
    user_id: str
    public_mcp_id: str
    slug: str
    name: str
    description: str | None
    version: str
    status: str
    is_enabled: int
    template_id: str | None
    company_url: str | None
    server_instructions: str | None
    branding: str | None
    created_at: int
    updated_at: int


COLUMNS = (
    "id, user_id, public_mcp_id, slug, name, description, version, status, is_enabled, template_id, company_url, "
    "server_instructions, branding, created_at, updated_at"
)

FIND = Query(f"SELECT {COLUMNS} FROM apps WHERE id = :id AND user_id = :user_id", AppRow)  # noqa: S608
FIND_PUBLIC = Query(f"SELECT {COLUMNS} FROM apps WHERE public_mcp_id = :public_mcp_id", AppRow)  # noqa: S608
LIST = Query(
    f"SELECT {COLUMNS} FROM apps WHERE user_id = :user_id ORDER BY created_at, id",  # noqa: S608
    AppRow,
)
LIST_AFTER = Query(
    f"""SELECT {COLUMNS} FROM apps
        WHERE user_id = :user_id AND (created_at, id) > (:created_at, :id)
        ORDER BY created_at, id LIMIT :limit""",  # noqa: S608
    AppRow,
)
COUNT = Query("SELECT COUNT(*) FROM apps WHERE user_id = :user_id", int)
FIND_SLUG = Query("SELECT id FROM apps WHERE user_id = :user_id AND slug = :slug", str)
INSERT = Statement(
    f"""INSERT INTO apps ({COLUMNS})
        VALUES (:id, :user_id, :public_mcp_id, :slug, :name, :description, :version, :status, :is_enabled,
                :template_id, :company_url, :server_instructions, :branding, :created_at, :updated_at)"""  # noqa: S608
)
UPDATE = Statement(
    """UPDATE apps SET name = :name, description = :description, version = :version, is_enabled = :is_enabled,
              company_url = :company_url, server_instructions = :server_instructions, branding = :branding,
              updated_at = :updated_at
       WHERE id = :id AND user_id = :user_id"""
)
DELETE = Statement("DELETE FROM apps WHERE id = :id AND user_id = :user_id")


def insert(tx: Transaction, app: AppRow) -> None:
    """Add an app; raises `UniqueViolation` when the person has the slug already."""
    tx.run(INSERT, **columns_of(app))


def update(tx: Transaction, app: AppRow) -> None:
    """Write what can change of an app."""
    tx.run(
        UPDATE,
        id=app.id,
        user_id=app.user_id,
        name=app.name,
        description=app.description,
        version=app.version,
        is_enabled=app.is_enabled,
        company_url=app.company_url,
        server_instructions=app.server_instructions,
        branding=app.branding,
        updated_at=app.updated_at,
    )
