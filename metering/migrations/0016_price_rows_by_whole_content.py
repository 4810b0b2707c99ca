"""The digest of a price row covers all that never changes of it, not its prices alone."""

from django.db import migrations

from metering.domain.digests import digest_of


def _cover_all(apps, schema_editor):
    rows = apps.get_model("metering", "PriceRow").objects.using(schema_editor.connection.alias)
    # No trigger lets a row's digest change, and none of the histories is to tell of this.
    schema_editor.execute("ALTER TABLE price_row DISABLE TRIGGER USER")
    changed = []
    for row in rows.all():
        if row.content_digest != digest_of([row.unit_prices, row.currency, row.rank]):
            continue  # tampered with before: it stays one that does not fit
        row.content_digest = digest_of(
            [
                *(row.book, row.provider, row.model_id, row.unit_prices, row.currency, row.rank),
                *(row.valid_from, row.opened_by_id),
            ]
        )
        changed.append(row)
    rows.bulk_update(changed, ["content_digest"], batch_size=500)
    schema_editor.execute("ALTER TABLE price_row ENABLE TRIGGER USER")


class Migration(migrations.Migration):
    dependencies = [("metering", "0015_owner_book_version")]

    operations = [migrations.RunPython(_cover_all, migrations.RunPython.noop, elidable=True)]
