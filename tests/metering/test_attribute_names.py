"""A source's own names for whom its calls are for: set by a file, read by every format of spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError

from metering import owners
from metering.attribute_names import attributes_for
from metering.formats.attribute_map import DEFAULT
from metering.formats.genai_names import vocabulary
from metering.models import AttributeName
from tests.metering.api.keys import post, rows, secret
from tests.metering.api.test_otlp import CALL, span
from tests.metering.formats.litellm_records import RECORD
from tests.metering.formats.otlp.requests import export

pytestmark = pytest.mark.usefixtures("db")


def imported(tmp_path: Path, *lines: str) -> int:
    path = tmp_path / "owners.csv"
    path.write_text("\n".join(("kind,key,target", *lines)))
    return owners.import_file(path).added


def sent(key: str, attributes: dict[str, Any]) -> None:
    told = {name: value for name, value in CALL.items() if name != "tenant.id"}
    one = span({**told, **attributes}, traceId=uuid4().hex)
    answer = post(key, export(one), path="/v1/traces")
    assert answer.content == b"{}"


def test_a_sources_names_hold_for_it_alone_from_the_next_message_on(tmp_path: Path) -> None:
    here, elsewhere = secret(source="bot"), secret(source="other")
    told = {"acct": "globex", "squad": "growth"}
    sent(here, told)
    assert imported(tmp_path, "attribute:tenantId,bot,acct", "attribute:tags.team,bot,squad") == 2
    assert imported(tmp_path, "attribute:tenantId,bot,acct") == 0
    sent(here, told)
    sent(elsewhere, told)
    assert sorted(rows("SELECT source, tenant, tags ->> 'team' FROM usage_event")) == [
        ("bot", "", None),
        ("bot", "globex", "growth"),
        ("other", "", None),
    ]


def test_the_lowest_position_is_asked_first() -> None:
    AttributeName.objects.create(source="bot", field="tenantId", attribute="b", position=2)
    AttributeName.objects.create(source="bot", field="tenantId", attribute="a", position=1)
    AttributeName.objects.create(source="bot", field="tenantId", attribute="c", active=False)
    own = attributes_for("bot")
    assert own.names["tenant_id"][:2] == ("a", "b")
    assert "c" not in own.names["tenant_id"]


def test_the_same_names_are_one_map_and_no_names_the_usual_one() -> None:
    assert attributes_for("bot") is DEFAULT
    AttributeName.objects.create(source="bot", field="tenantId", attribute="a")
    assert attributes_for("bot") is attributes_for("bot")
    assert vocabulary(attributes_for("bot")) is vocabulary(attributes_for("bot"))


def test_metered_events_may_name_their_usage_too(tmp_path: Path) -> None:
    imported(
        tmp_path,
        "attribute:inputTokens,bot,n_in",
        "attribute:model,bot,engine",
        "attribute:tenantId,bot,acct",
    )
    key = secret(source="bot")
    used = {"engine": "gpt-4o-mini", "n_in": 5, "acct": "globex"}
    event = {"transaction_id": "7", "external_subscription_id": "s", "code": "c"}
    answer = post(key, {"event": {**event, "properties": used}}, path="/lago/api/v1/events")
    assert answer.status_code == 200
    cloud = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "s"}
    assert post(key, {**cloud, "data": used}, path="/openmeter/api/v1/events").status_code == 204
    logged = {**RECORD, "startTime": None, "endTime": None, "request_tags": ["acct:globex"]}
    assert post(key, logged, path="/integrations/litellm").json()["accepted"] == 1
    sent(key, {"acct": "globex"})
    assert rows("SELECT tenant, count(*), min(input_tokens) FROM usage_event GROUP BY 1") == [
        ("globex", 4, 5)
    ]


def test_what_no_attribute_can_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(owners.OwnersFileError, match="line 2: 'shoeSize' cannot be mapped"):
        imported(tmp_path, "attribute:shoeSize,bot,tokens")
    with pytest.raises(ValidationError, match="cannot be mapped"):
        AttributeName(source="bot", field="cost", attribute="x").full_clean()
