"""What a price may say, held by the database as the domain holds it: all of a unit's price, the calls
and hours that it is for, its currency. Before, a least quantity below 0, a price that leaves out
what it costs, hours that no clock shows and a currency in words could be stored."""

from django.db import migrations

AS_BEFORE = "prices_can_be_right_in_tiers_and_periods"

RIGHT = f"""
ALTER FUNCTION prices_can_be_right(jsonb) RENAME TO {AS_BEFORE};

CREATE FUNCTION price_can_be_right(price jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT coalesce(
        jsonb_typeof(price -> 'per') = 'number'
        AND (price ->> 'per')::numeric = trunc((price ->> 'per')::numeric)
        AND jsonb_typeof(price -> 'base') = 'string'
        AND (price ->> 'base')::numeric < 1e60
        AND price - ARRAY['per', 'base', 'tiers', 'scope', 'minimum', 'allowance', 'volumes']
            = '{{}}'::jsonb
        AND coalesce(price ->> 'scope', 'marginal') = 'marginal'
        AND (NOT price ? 'scope' OR coalesce(jsonb_array_length(price -> 'tiers'), 0) > 0)
        AND coalesce((price ->> 'minimum')::numeric, 1) > 0
        AND coalesce((price ->> 'minimum')::numeric, 1) < 'Infinity',
        false
    )
$body$;

CREATE FUNCTION prices_can_be_right(prices jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT {AS_BEFORE}(prices)
        AND coalesce(bool_and(price_can_be_right(price) AND unit ~ '^[a-z0-9_]+$'), true)
    FROM jsonb_each(prices) AS said (unit, price)
$body$;

CREATE FUNCTION hours_can_be_right(hours jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT coalesce(
        jsonb_typeof(hours) = 'array'
        AND jsonb_array_length(hours) BETWEEN 2 AND 4
        AND hours ->> 0 ~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{{6}})?)?$'
        AND hours ->> 1 ~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{{6}})?)?$'
        AND (
            (hours ->> 0)::time <> (hours ->> 1)::time
            OR (hours ->> 0)::time = '00:00' AND jsonb_array_length(hours) = 4
        )
        AND timezone(coalesce(hours ->> 2, 'UTC'), timestamptz '2026-01-01 00:00Z') IS NOT NULL
        AND (
            jsonb_array_length(hours) < 4
            OR (
                SELECT jsonb_agg(DISTINCT day ORDER BY day) = hours -> 3
                    AND bool_and(day IN ('1', '2', '3', '4', '5', '6', '7'))
                FROM jsonb_array_elements(hours -> 3) AS days (day)
            )
        ),
        false
    )
$body$;

CREATE FUNCTION conditions_can_be_right(conditions jsonb)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $body$
    SELECT coalesce(
        jsonb_typeof(conditions) = 'object'
        AND conditions - ARRAY['when', 'window'] = '{{}}'::jsonb
        AND (NOT conditions ? 'when' OR (
            SELECT bool_and(
                jsonb_typeof(value) = 'string' AND name <> ''
                AND name = lower(name) AND value = lower(value::text)::jsonb
            )
            FROM jsonb_each(conditions -> 'when') AS said (name, value)
        ))
        AND (NOT conditions ? 'window' OR hours_can_be_right(conditions -> 'window')),
        false
    )
$body$;

ALTER TABLE price_row DROP CONSTRAINT price_row_can_be_right;
ALTER TABLE price_row ADD CONSTRAINT price_row_can_be_right CHECK (prices_can_be_right(unit_prices));
ALTER TABLE price_row
    ADD CONSTRAINT price_row_bears_on_calls_that_can_be CHECK (conditions_can_be_right(conditions));
ALTER TABLE price_row ADD CONSTRAINT price_row_has_a_currency CHECK (currency ~ '^[A-Z]{{3}}$');
"""

BEFORE = f"""
ALTER TABLE price_row DROP CONSTRAINT price_row_has_a_currency;
ALTER TABLE price_row DROP CONSTRAINT price_row_bears_on_calls_that_can_be;
ALTER TABLE price_row DROP CONSTRAINT price_row_can_be_right;
DROP FUNCTION prices_can_be_right(jsonb);
DROP FUNCTION conditions_can_be_right(jsonb);
DROP FUNCTION hours_can_be_right(jsonb);
DROP FUNCTION price_can_be_right(jsonb);
ALTER FUNCTION {AS_BEFORE}(jsonb) RENAME TO prices_can_be_right;
ALTER TABLE price_row ADD CONSTRAINT price_row_can_be_right CHECK (prices_can_be_right(unit_prices));
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0012_whole_traces")]

    operations = [migrations.RunSQL(RIGHT, BEFORE)]
