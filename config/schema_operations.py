"""What Django's own migration operations lack."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import AddField
from django.db.migrations.operations.models import AddConstraint, AddIndex, CreateModel
from django.db.migrations.state import ProjectState, StateApps
from pgtrigger.compiler import Trigger
from pgtrigger.migrations import AddTrigger

_PARTS_OF_A_TABLE: Final = (AddField, AddConstraint, AddIndex)
_FUNCTION_ENDS: Final = "$$ LANGUAGE plpgsql;"


class AtOnce(Operation):
    """Several operations with one state: each meets the models as all of them leave them.

    Django draws every model that is related to a changed one anew after each operation; with some
    hundred tables and triggers that takes more time than the database does. Here they are drawn
    once. So the operations must not depend on what stands between them: tables in their final
    form, and their triggers. A table that is made here has all that the operations add to it from
    the start, and triggers that stand together are installed in one round to the server.
    """

    serialization_expand_args: Final = ["operations"]  # type: ignore[misc]  # Operation's own is untyped

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        drawn: StateApps | None = state.__dict__.pop("apps", None)
        known = set(state.models)
        for operation in self.operations:
            operation.state_forwards(app_label, state)
        new = state.models.keys() - known
        if drawn is not None and self._changes_nothing_but({name for _, name in new}):
            drawn.render_multiple([state.models[key] for key in state.models if key in new])
            state.__dict__["apps"] = drawn
        # Else they are drawn again, all of them, when somebody asks for them.

    def _changes_nothing_but(self, models: Container[str]) -> bool:
        """Whether every operation makes one of these models or is about one of them, but for
        triggers, which are drawn nowhere."""
        return all(
            isinstance(operation, AddTrigger) or _made_or_changed(operation) in models
            for operation in self.operations
        )

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        made = {each.name_lower for each in self.operations if isinstance(each, CreateModel)}
        for triggers, operations in groupby(self.operations, lambda x: isinstance(x, AddTrigger)):
            if triggers:
                _install(operations, app_label, schema_editor, to_state)
                continue
            for operation in operations:
                if not (
                    isinstance(operation, _PARTS_OF_A_TABLE) and operation.model_name_lower in made
                ):
                    operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,  # noqa: ARG002 (Django passes it; the tables are not in it)
    ) -> None:
        for operation in reversed(self.operations):
            operation.database_backwards(app_label, schema_editor, from_state, from_state)

    def describe(self) -> str:
        return "; ".join(operation.describe() for operation in self.operations)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return type(self).__qualname__, [], {"operations": list(self.operations)}


def _install(
    operations: Iterable[Operation],
    app_label: str,
    schema_editor: BaseDatabaseSchemaEditor,
    state: ProjectState,
) -> None:
    """Install these triggers. Each brings along the function by which triggers are told to be
    still, word for word the same: it is made once."""
    statements: dict[str, None] = {}
    for operation in operations:
        assert isinstance(operation, AddTrigger)
        model = state.apps.get_model(app_label, operation.model_name)
        if operation.allow_migrate_model_trigger(schema_editor, model):
            assert isinstance(operation.trigger, Trigger), "as makemigrations writes it"
            function, end, rest = operation.trigger.install_sql.partition(_FUNCTION_ENDS)
            statements[function + end] = statements[rest] = None
    if statements:
        schema_editor.execute("\n".join(statements), params=None)


def _made_or_changed(operation: Operation) -> str:
    """The model's name in lower case; none for an operation that names no model."""
    name = operation.name if isinstance(operation, CreateModel) else _named_by(operation)
    return name.lower()


def _named_by(operation: Operation) -> str:
    name: str = getattr(operation, "model_name", "")
    return name
