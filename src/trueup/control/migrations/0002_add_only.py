"""What must not change is refused by the database itself, whoever asks: the audit trail, and what a charter says."""

from __future__ import annotations

from django.db import migrations

_REFUSE = """
CREATE FUNCTION trueup_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
"""
_QUEUE = """
CREATE FUNCTION trueup_await_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO control_auditunsealed (entry_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER await_seal AFTER INSERT ON control_auditentry FOR EACH ROW EXECUTE FUNCTION trueup_await_seal();
"""
_CHARTER = """
CREATE FUNCTION trueup_keep_charter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.project_id, NEW.number, NEW.digest, NEW.project_file, NEW.sponsor, NEW.reviewers)
       IS DISTINCT FROM (OLD.project_id, OLD.number, OLD.digest, OLD.project_file, OLD.sponsor, OLD.reviewers)
       OR OLD.state IN ('approved', 'rejected', 'abandoned') THEN
        RAISE EXCEPTION 'a charter never changes; a changed one is a new version' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_charter BEFORE UPDATE ON control_charterversion FOR EACH ROW EXECUTE FUNCTION trueup_keep_charter();
"""


def _add_only(table: str) -> str:
    return f"""
CREATE TRIGGER add_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION trueup_refuse();
CREATE TRIGGER add_only_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION trueup_refuse();
"""


_TABLES = ("control_auditentry", "control_auditseal", "control_auditplace", "control_charterfeedback")


class Migration(migrations.Migration):
    """Triggers."""

    dependencies = (("control", "0001_initial"),)
    operations = (
        migrations.RunSQL(_REFUSE, "DROP FUNCTION trueup_refuse() CASCADE"),
        *(migrations.RunSQL(_add_only(table), migrations.RunSQL.noop) for table in _TABLES),
        migrations.RunSQL(_QUEUE, "DROP FUNCTION trueup_await_seal() CASCADE"),
        migrations.RunSQL(_CHARTER, "DROP FUNCTION trueup_keep_charter() CASCADE"),
    )
