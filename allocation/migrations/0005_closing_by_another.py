from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0004_signature_rights"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="periodclose",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("prepared_by", ""), _negated=True),
                    models.Q(("closed_by", models.F("approved_by")), _negated=True),
                    _connector="OR",
                ),
                name="close_without_an_author_is_by_another",
            ),
        ),
    ]
