"""Usage by UTC day, folded beside the usage rollup; an index for the month's late queue.

What is folded already is added up here, while no fold is under way. A worker of the version before
would go on folding into the usage rollup alone, so workers are stopped while this is applied;
`verify` names the days of which one did.
"""

from django.db import migrations

DAYS = """CREATE TABLE day_rollup (
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
FOLDED = """
SELECT pg_advisory_xact_lock(7315002);
INSERT INTO day_rollup
SELECT (bucket_at AT TIME ZONE 'UTC')::date, provider, model_executed, cost_centre, pricing,
       currency, sum(events), sum(cost)
FROM usage_rollup GROUP BY 1, 2, 3, 4, 5, 6;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0016_price_rows_by_whole_content")]

    operations = [
        migrations.RunSQL(
            [DAYS, FOLDED, "CREATE INDEX late_event_time ON late_event (occurred_at)"],
            "DROP INDEX late_event_time; DROP TABLE day_rollup",
        ),
    ]
