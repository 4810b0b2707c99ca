"""The big tables: ledger, events, shares, revisions, dispositions, rollups (folded and tail); seals.

They are laid out in SQL because their shape is the database's own business: partitions by day,
unique keys that hold the event key (so that they can be distributed by it), no foreign keys, no
triggers. What the application's role may do with them is in `metering.privileges`.
"""

import django.db.models.deletion
import metering.fields
from django.db import migrations, models

from config.schema_operations import AtOnce

EVENTS = """
CREATE TABLE event_ledger (
    event_key    uuid PRIMARY KEY,
    claim_digest bytea NOT NULL,
    occurred_at  timestamptz NOT NULL,
    claimed_on   date NOT NULL
);

CREATE TABLE usage_event (
    event_key             uuid NOT NULL,
    occurred_at           timestamptz NOT NULL,
    received_at           timestamptz NOT NULL,
    time_reported         boolean NOT NULL,
    source                text NOT NULL,
    external_request_id   text NOT NULL,
    event_id              text,
    attempt               integer,
    provider              text NOT NULL,
    provider_project      text NOT NULL,
    model                 text NOT NULL,
    model_executed        text,
    provider_request_id   text,
    input_tokens          integer CHECK (input_tokens >= 0),
    cached_input_tokens   integer CHECK (cached_input_tokens >= 0),
    cache_write_tokens    integer CHECK (cache_write_tokens >= 0),
    cache_write_1h_tokens integer CHECK (cache_write_1h_tokens >= 0),
    output_tokens         integer CHECK (output_tokens >= 0),
    reasoning_tokens      integer CHECK (reasoning_tokens >= 0),
    audio_input_tokens    integer CHECK (audio_input_tokens >= 0),
    audio_output_tokens   integer CHECK (audio_output_tokens >= 0),
    image_input_tokens    integer CHECK (image_input_tokens >= 0),
    image_output_tokens   integer CHECK (image_output_tokens >= 0),
    units                 json,
    usage                 json,
    usage_format          text,
    usage_quality         text NOT NULL,
    service_tier          text NOT NULL,
    batch                 boolean NOT NULL,
    region                text,
    served_from           text NOT NULL,
    endpoint_tag          text,
    prompt_version        text,
    tenant_id             text,
    cost_center           text,
    status                text NOT NULL,
    error_code            text,
    latency_ms            integer,
    data_mode             text NOT NULL,
    environment           text NOT NULL,
    trace_id              text,
    workflow              text,
    tags                  json,
    shares                json,
    seal_digest           bytea NOT NULL,
    user_pseudonym        uuid,
    user_kind             text NOT NULL,
    tenant                text NOT NULL,
    cost_centre           text NOT NULL,
    owner_route           text NOT NULL,
    pricing               text NOT NULL CHECK (pricing IN ('priced', 'unpriced', 'free')),
    pricing_reason        text,
    cost                  numeric,
    currency              text NOT NULL,
    lines                 json,
    value_digest          bytea NOT NULL,
    CHECK ((cost IS NULL) = (pricing = 'unpriced')),
    PRIMARY KEY (event_key, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE event_share (
    event_key     uuid NOT NULL,
    revision      integer NOT NULL,
    position      integer NOT NULL,
    occurred_at   timestamptz NOT NULL,
    tenant        text NOT NULL,
    cost_centre   text NOT NULL,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    cost          numeric,
    PRIMARY KEY (event_key, revision, position)
);
CREATE INDEX event_share_time ON event_share (occurred_at);

CREATE TABLE event_revision (
    event_key      uuid NOT NULL,
    revision       integer NOT NULL CHECK (revision > 0),
    occurred_at    timestamptz NOT NULL,
    made_at        timestamptz NOT NULL,
    author         text NOT NULL,
    reason         text NOT NULL CHECK (reason <> ''),
    user_pseudonym uuid,
    user_kind      text NOT NULL,
    tenant         text NOT NULL,
    cost_centre    text NOT NULL,
    owner_route    text NOT NULL,
    pricing        text NOT NULL CHECK (pricing IN ('priced', 'unpriced', 'free')),
    pricing_reason text,
    cost           numeric,
    currency       text NOT NULL,
    lines          json,
    value_digest   bytea NOT NULL,
    CHECK ((cost IS NULL) = (pricing = 'unpriced')),
    PRIMARY KEY (event_key, revision)
);
CREATE INDEX event_revision_time ON event_revision (occurred_at);

CREATE TABLE event_disposition (
    event_key     uuid NOT NULL,
    sequence      integer NOT NULL CHECK (sequence > 0),
    occurred_at   timestamptz NOT NULL,
    state         text NOT NULL CHECK (state IN ('counted', 'superseded', 'merged', 'uncounted')),
    reason        text NOT NULL CHECK (reason <> ''),
    superseded_by uuid,
    made_at       timestamptz NOT NULL,
    author        text NOT NULL,
    PRIMARY KEY (event_key, sequence)
);
CREATE INDEX event_disposition_time ON event_disposition (occurred_at);

CREATE TABLE late_event (
    event_key   uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    source      text NOT NULL,
    content     json NOT NULL
);
CREATE INDEX late_event_time ON late_event (occurred_at);
"""

PARTITIONS = """
CREATE FUNCTION ensure_event_partitions(days date[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $body$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    IF cardinality(days) > 4000 THEN
        RAISE EXCEPTION 'partitions for % days at once; 4000 is the limit', cardinality(days);
    END IF;
    FOR day IN SELECT DISTINCT d FROM unnest(days) AS d ORDER BY d LOOP
        name := 'usage_event_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- One maker at a time; whoever waited looks again, in the table itself: to_regclass asks
        -- a cache, which nothing has told yet of what was made meanwhile.
        PERFORM pg_advisory_xact_lock(hashtext('usage_event partitions'));
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_class made JOIN pg_class parent USING (relnamespace)
            WHERE made.relname = name AND parent.oid = 'usage_event'::regclass
        );
        -- LIKE and ATTACH take no lock that would stop readers or writers of the parent.
        -- Statistics of sixty columns cost more than a small day's readers save by them, and a day
        -- that grows would have them taken anew with each tenth that is added.
        EXECUTE format('CREATE TABLE %I (LIKE usage_event INCLUDING ALL) WITH ('
            'autovacuum_analyze_threshold = 50000, autovacuum_analyze_scale_factor = 0.5, '
            'autovacuum_vacuum_insert_threshold = 50000)', name);
        EXECUTE format(
            'ALTER TABLE usage_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name,
            to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00',
            to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$body$;
"""

USAGE = """
    bucket_at             timestamptz NOT NULL,
    source                text NOT NULL,
    provider              text NOT NULL,
    model                 text NOT NULL,
    model_executed        text NOT NULL,
    service_tier          text NOT NULL,
    tenant                text NOT NULL,
    cost_centre           text NOT NULL,
    endpoint_tag          text NOT NULL,
    prompt_version        text NOT NULL,
    environment           text NOT NULL,
    data_mode             text NOT NULL,
    status                text NOT NULL,
    served_from           text NOT NULL,
    user_kind             text NOT NULL,
    pricing               text NOT NULL,
    currency              text NOT NULL,
    events                bigint NOT NULL,
    input_tokens          bigint NOT NULL,
    cached_input_tokens   bigint NOT NULL,
    cache_write_tokens    bigint NOT NULL,
    cache_write_1h_tokens bigint NOT NULL,
    output_tokens         bigint NOT NULL,
    reasoning_tokens      bigint NOT NULL,
    audio_input_tokens    bigint NOT NULL,
    audio_output_tokens   bigint NOT NULL,
    image_input_tokens    bigint NOT NULL,
    image_output_tokens   bigint NOT NULL,
    cost                  numeric NOT NULL,
    latency_ms            bigint NOT NULL
"""
USAGE_KEY = """bucket_at, tenant, cost_centre, endpoint_tag, model, model_executed, provider,
    prompt_version, source, service_tier, environment, data_mode, status, served_from, user_kind,
    pricing, currency"""

CELL = """
    day              date NOT NULL,
    provider         text NOT NULL,
    provider_project text NOT NULL,
    model            text NOT NULL,
    token_class      text NOT NULL,
    tier             text NOT NULL,
    tenant           text NOT NULL,
    cost_centre      text NOT NULL,
    pricing          text NOT NULL,
    currency         text NOT NULL,
    events           bigint NOT NULL,
    quantity         numeric NOT NULL,
    cost             numeric NOT NULL
"""
CELL_KEY = """day, provider, provider_project, model, token_class, tier, tenant, cost_centre,
    pricing, currency"""

USER = """
    day            date NOT NULL,
    tenant         text NOT NULL,
    cost_centre    text NOT NULL,
    user_pseudonym uuid NOT NULL,
    user_kind      text NOT NULL,
    events         bigint NOT NULL,
    tokens         bigint NOT NULL,
    cost           numeric NOT NULL
"""
USER_KEY = "day, tenant, cost_centre, user_pseudonym, user_kind"

ROLLUPS = "".join(
    f"""
CREATE TABLE {name}_rollup ({columns}, PRIMARY KEY ({key}));
CREATE TABLE {name}_rollup_tail ({columns});
"""
    for name, columns, key in (
        ("usage", USAGE, USAGE_KEY),
        ("cell", CELL, CELL_KEY),
        ("user", USER, USER_KEY),
    )
)

DAYS = """
CREATE TABLE day_rollup (
    day            date NOT NULL,
    provider       text NOT NULL,
    model_executed text NOT NULL,
    cost_centre    text NOT NULL,
    pricing        text NOT NULL,
    currency       text NOT NULL,
    events         bigint NOT NULL,
    cost           numeric NOT NULL,
    PRIMARY KEY (day, provider, model_executed, cost_centre, pricing, currency)
);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0001_owners"),
    ]

    operations = [
        migrations.RunSQL(
            EVENTS,
            """DROP TABLE late_event, event_disposition, event_revision, event_share, usage_event,
               event_ledger""",
        ),
        migrations.RunSQL(PARTITIONS, "DROP FUNCTION ensure_event_partitions(date[])"),
        migrations.RunSQL(
            ROLLUPS + DAYS,
            """DROP TABLE usage_rollup, usage_rollup_tail, cell_rollup, cell_rollup_tail,
               user_rollup, user_rollup_tail, day_rollup""",
        ),
        AtOnce(
            [
                migrations.CreateModel(
                    name="Seal",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        ("book", models.TextField()),
                        ("month", models.TextField()),
                        ("sequence", models.PositiveIntegerField()),
                        ("events", models.BigIntegerField()),
                        ("root", models.TextField()),
                        ("previous_root", models.TextField(blank=True, default="")),
                        ("sealed_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "seal",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("book", "sequence"), name="one_chain_per_book"
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="SealBucket",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        (
                            "seal",
                            models.ForeignKey(
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="buckets",
                                to="metering.seal",
                            ),
                        ),
                        ("tenant", models.TextField()),
                        ("hour_at", models.DateTimeField()),
                        ("events", models.BigIntegerField()),
                        ("digest", models.TextField()),
                    ],
                    options={
                        "db_table": "seal_bucket",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("seal", "tenant", "hour_at"),
                                name="one_seal_bucket_per_tenant_and_hour",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="UsageEvent",
                    fields=[
                        ("event_key", models.UUIDField(primary_key=True, serialize=False)),
                        ("occurred_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("source", models.TextField()),
                        ("external_request_id", models.TextField()),
                        ("provider", models.TextField()),
                        ("model", models.TextField()),
                        ("model_executed", models.TextField(null=True)),
                        ("input_tokens", models.IntegerField(null=True)),
                        ("output_tokens", models.IntegerField(null=True)),
                        ("endpoint_tag", models.TextField(null=True)),
                        ("status", models.TextField()),
                        ("tenant", models.TextField()),
                        ("cost_centre", models.TextField()),
                        ("pricing", models.TextField()),
                        (
                            "cost",
                            metering.fields.ExactField(decimal_places=30, max_digits=60, null=True),
                        ),
                        ("currency", models.TextField()),
                    ],
                    options={
                        "verbose_name": "usage event",
                        "db_table": "usage_event",
                        "managed": False,
                    },
                ),
            ]
        ),
    ]
