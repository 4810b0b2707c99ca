from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("allocation", "0006_history"),
    ]

    operations = [
        migrations.AddField(
            model_name="periodclose",
            name="seals",
            field=models.JSONField(default=dict),
        ),
    ]
