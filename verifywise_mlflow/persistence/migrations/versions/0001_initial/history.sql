-- The history of records, verdicts, badges, prompt versions and agents: each former state with the span of time in
-- which it was valid. Triggers write it, so that no writer can forget it, and so that a role that may write records may
-- not write their history.

-- A row begins with the time when the state ended and the sync that ended it. The columns of the former row follow.
-- With this order, a column that a later migration adds at the end of both tables needs no change of the triggers,
-- except the trigger of verdicts, which names its columns.
CREATE TABLE {schema}.canonical_record_history (
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.canonical_records,
    PRIMARY KEY (tenant_id, model_name, version_number, revision)
);
CREATE INDEX canonical_record_history_by_begin ON {schema}.canonical_record_history (tenant_id, changed_at);
CREATE INDEX canonical_record_history_by_end ON {schema}.canonical_record_history (tenant_id, valid_to);

CREATE TABLE {schema}.prompt_version_history (
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.prompt_versions,
    PRIMARY KEY (tenant_id, prompt_name, version_number, revision)
);

CREATE TABLE {schema}.agent_history (
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.agents,
    PRIMARY KEY (tenant_id, model_id, revision)
);

-- A row has the verdicts on a version that ended at the same time.
CREATE TABLE {schema}.version_verdict_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.version_verdicts INCLUDING STORAGE,
    PRIMARY KEY (state_id)
) WITH (toast_tuple_target = 8160);
CREATE INDEX version_verdict_history_by_version
ON {schema}.version_verdict_history (tenant_id, model_name, version_number);
CREATE INDEX version_verdict_history_by_end ON {schema}.version_verdict_history (tenant_id, valid_to);

CREATE TABLE {schema}.compliance_badge_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.compliance_badges,
    PRIMARY KEY (state_id)
);
CREATE INDEX compliance_badge_history_by_version
ON {schema}.compliance_badge_history (tenant_id, model_name, version_number);
CREATE INDEX compliance_badge_history_by_end ON {schema}.compliance_badge_history (tenant_id, valid_to);

-- A writer that ends a state without writing a new one sets the time and the sync in two settings of the transaction.
-- Without them, the time is now and the sync is unknown: ''.
CREATE FUNCTION {schema}.write_time() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(nullif(current_setting('verifywise_mlflow.now', true), '')::timestamptz, now())
$$;
CREATE FUNCTION {schema}.write_sync_id() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(current_setting('verifywise_mlflow.sync_id', true), '')
$$;

-- The triggers run with the owner's rights, since writers may only read the history. pg_temp is the last schema in
-- their search_path: Postgres would otherwise search it first for types, and a writer may create types in it. They fire
-- on every change, so that an UPDATE by hand leaves a trace, too. Such an UPDATE sets neither the time nor the sync, and
-- must not be attributed to the last sync. If the clock was set back, a state must not end before it began. So a state
-- ends at the later of two times, and may have a span of no length. An erasure of a tenant must delete its history last.
CREATE FUNCTION {schema}.save_former_record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.canonical_record_history
        VALUES (greatest(OLD.changed_at, {schema}.write_time()), {schema}.write_sync_id(), OLD.*);
        RETURN OLD;
    END IF;
    IF NEW.revision = OLD.revision THEN
        NEW.revision := nextval('{schema}.revisions');
        NEW.fingerprint := '';  -- it no longer matches the row, so the next sync that builds the record writes it again
        NEW.changed_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO {schema}.canonical_record_history VALUES (NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

-- The operator compares the bytes of each column: the type json has no other comparison.
CREATE TRIGGER save_former_record BEFORE UPDATE ON {schema}.canonical_records
FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION {schema}.save_former_record();
CREATE TRIGGER save_deleted_record BEFORE DELETE ON {schema}.canonical_records
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_record();

-- This function is for tables whose history has the table's name in the singular.
CREATE FUNCTION {schema}.save_former_asset() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    saving text := format(
        'INSERT INTO {schema}.%I SELECT $1, $2, ($3).*', rtrim(TG_TABLE_NAME, 's') || '_history'
    );
BEGIN
    IF TG_OP = 'DELETE' THEN
        EXECUTE saving USING greatest(OLD.changed_at, {schema}.write_time()), {schema}.write_sync_id(), OLD;
        RETURN OLD;
    END IF;
    IF NEW.revision = OLD.revision THEN
        NEW.revision := nextval('{schema}.revisions');
        NEW.fingerprint := '';  -- it no longer matches the row, so the next sync that lists the object writes it again
        NEW.changed_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    EXECUTE saving USING NEW.changed_at, NEW.sync_id, OLD;
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_asset BEFORE UPDATE ON {schema}.prompt_versions
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.save_former_asset();
CREATE TRIGGER save_deleted_asset BEFORE DELETE ON {schema}.prompt_versions
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_asset();
CREATE TRIGGER save_former_asset BEFORE UPDATE ON {schema}.agents
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.save_former_asset();
CREATE TRIGGER save_deleted_asset BEFORE DELETE ON {schema}.agents
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_asset();

-- These functions work on columns of verdicts whose cells are joined to one text. Triggers call them with a safe
-- search_path. They have no setting of their own, since each call would take several times as long. For the same
-- reason, the last two are not in SQL.
CREATE FUNCTION {schema}.cells(joined text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN joined = '' THEN ARRAY[''] ELSE string_to_array(joined, E'\x1e') END
$$;
CREATE FUNCTION {schema}.selected_cells(joined text, places integer[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    selected text[];
    place integer;
BEGIN
    FOREACH place IN ARRAY places LOOP
        selected := selected || split_part(joined, E'\x1e', place);
    END LOOP;
    RETURN array_to_string(selected, E'\x1e');
END $$;
CREATE FUNCTION {schema}.amended_cells(former text, given text, places integer[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    amended text[] := string_to_array(former, E'\x1e');
    place integer;
BEGIN
    FOREACH place IN ARRAY places LOOP
        amended[place] := split_part(given, E'\x1e', place);
    END LOOP;
    RETURN array_to_string(amended, E'\x1e', '');  -- a forged row may lack cells
END $$;

-- A verdict is another state if anything in it differs. A null fingerprint stands for the former verdict of the rule: a
-- writer sends only verdicts that differ. If a verdict was changed by hand, its fingerprint no longer matches, so the
-- next evaluation of the version writes the verdict again. A gap keeps the time when it opened if its verdict changes
-- to another open verdict. It also keeps this time while the objects that the verdict rests on cannot be read, which
-- does not close the gap.
CREATE FUNCTION {schema}.save_former_verdicts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written_at timestamptz := coalesce(nullif(current_setting('verifywise_mlflow.now', true), '')::timestamptz, now());
    writer text := coalesce(current_setting('verifywise_mlflow.sync_id', true), '');
    is_moved boolean;
    changed integer[];
    i integer;
    amended {schema}.version_verdicts%ROWTYPE;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.version_verdict_history
        VALUES (DEFAULT, greatest(written_at, (SELECT max(at) FROM unnest(OLD.evaluated_at) AS at)), writer, OLD.*);
        RETURN OLD;
    END IF;
    is_moved := (OLD.tenant_id, OLD.model_name, OLD.version_number)
                <> (NEW.tenant_id, NEW.model_name, NEW.version_number);
    -- A writer sends all verdicts with the same time and sync, and with a later time than all former verdicts. All
    -- differ from the former verdicts, except verdicts with a null fingerprint.
    IF NOT is_moved AND written_at = ALL (NEW.evaluated_at) AND writer = ALL (NEW.sync_ids)
       AND written_at > ALL (OLD.evaluated_at) THEN
        changed := ARRAY(
            SELECT n.place FROM unnest(NEW.fingerprints) WITH ORDINALITY AS n (fingerprint, place)
            WHERE n.fingerprint IS NOT NULL
        );
        -- After a change of the policies, the former row usually ends as it is.
        IF cardinality(changed) = cardinality(NEW.rule_ids) THEN
            INSERT INTO {schema}.version_verdict_history VALUES (DEFAULT, written_at, writer, OLD.*);
            NEW.open_since := ARRAY(
                SELECT CASE
                    WHEN n.verdict IN ('fail', 'error', 'not evidenced') THEN coalesce(f.open_since, written_at)
                    WHEN n.verdict = 'not read' THEN f.open_since
                END
                FROM unnest(NEW.rule_ids, NEW.verdicts) WITH ORDINALITY AS n (rule_id, verdict, place)
                LEFT JOIN unnest(OLD.rule_ids, OLD.open_since) AS f (rule_id, open_since) USING (rule_id)
                ORDER BY n.place
            );
            RETURN NEW;
        END IF;
        -- After a change of one rule or one version, a few verdicts of the same rules differ. The statement below
        -- compares all verdicts and would take several times as long.
        IF cardinality(changed) <= 8 AND OLD.rule_ids = NEW.rule_ids THEN
            INSERT INTO {schema}.version_verdict_history (
                valid_to, ended_by_sync_id, tenant_id, model_name, version_number,
                rule_ids, rule_versions, verdicts, reasons, values, policy_ids, policy_versions, evaluated_at, sync_ids,
                origins, thresholds, days, input_hashes, fingerprints, open_since
            )
            SELECT written_at, writer, OLD.tenant_id, OLD.model_name, OLD.version_number,
                   ARRAY(SELECT OLD.rule_ids[place] FROM unnest(changed) AS place),
                   {schema}.selected_cells(OLD.rule_versions, changed),
                   ARRAY(SELECT OLD.verdicts[place] FROM unnest(changed) AS place),
                   {schema}.selected_cells(OLD.reasons, changed),
                   {schema}.selected_cells(OLD.values, changed),
                   {schema}.selected_cells(OLD.policy_ids, changed),
                   {schema}.selected_cells(OLD.policy_versions, changed),
                   ARRAY(SELECT OLD.evaluated_at[place] FROM unnest(changed) AS place),
                   ARRAY(SELECT OLD.sync_ids[place] FROM unnest(changed) AS place),
                   {schema}.selected_cells(OLD.origins, changed),
                   {schema}.selected_cells(OLD.thresholds, changed),
                   {schema}.selected_cells(OLD.days, changed),
                   {schema}.selected_cells(OLD.input_hashes, changed),
                   ARRAY(SELECT OLD.fingerprints[place] FROM unnest(changed) AS place),
                   ARRAY(SELECT OLD.open_since[place] FROM unnest(changed) AS place)
            WHERE cardinality(changed) > 0;
            amended := OLD;
            amended.rule_versions := {schema}.amended_cells(OLD.rule_versions, NEW.rule_versions, changed);
            amended.reasons := {schema}.amended_cells(OLD.reasons, NEW.reasons, changed);
            amended.values := {schema}.amended_cells(OLD.values, NEW.values, changed);
            amended.policy_ids := {schema}.amended_cells(OLD.policy_ids, NEW.policy_ids, changed);
            amended.policy_versions := {schema}.amended_cells(OLD.policy_versions, NEW.policy_versions, changed);
            amended.origins := {schema}.amended_cells(OLD.origins, NEW.origins, changed);
            amended.thresholds := {schema}.amended_cells(OLD.thresholds, NEW.thresholds, changed);
            amended.days := {schema}.amended_cells(OLD.days, NEW.days, changed);
            amended.input_hashes := {schema}.amended_cells(OLD.input_hashes, NEW.input_hashes, changed);
            FOREACH i IN ARRAY changed LOOP
                amended.verdicts[i] := NEW.verdicts[i];
                amended.evaluated_at[i] := written_at;
                amended.sync_ids[i] := writer;
                amended.fingerprints[i] := NEW.fingerprints[i];
                amended.open_since[i] := CASE
                    WHEN NEW.verdicts[i] IN ('fail', 'error', 'not evidenced')
                        THEN coalesce(OLD.open_since[i], written_at)
                    WHEN NEW.verdicts[i] = 'not read' THEN OLD.open_since[i]
                END;
            END LOOP;
            RETURN amended;
        END IF;
    END IF;
    WITH former AS MATERIALIZED (
        -- A forged row may lack cells.
        SELECT rule_id, coalesce(rule_version, '') AS rule_version, verdict, coalesce(reason, '') AS reason,
               coalesce(values, '') AS values, coalesce(policy_id, '') AS policy_id,
               coalesce(policy_version, '') AS policy_version, evaluated_at, sync_id,
               coalesce(origins, '') AS origins, coalesce(thresholds, '') AS thresholds, coalesce(day, '') AS day,
               coalesce(input_hash, '') AS input_hash, fingerprint, open_since
        FROM unnest(
            OLD.rule_ids, {schema}.cells(OLD.rule_versions), OLD.verdicts, {schema}.cells(OLD.reasons),
            {schema}.cells(OLD.values), {schema}.cells(OLD.policy_ids), {schema}.cells(OLD.policy_versions),
            OLD.evaluated_at, OLD.sync_ids, {schema}.cells(OLD.origins), {schema}.cells(OLD.thresholds),
            {schema}.cells(OLD.days), {schema}.cells(OLD.input_hashes), OLD.fingerprints, OLD.open_since
        ) AS f (
            rule_id, rule_version, verdict, reason, values, policy_id, policy_version, evaluated_at, sync_id, origins,
            thresholds, day, input_hash, fingerprint, open_since
        )
    ),
    given AS MATERIALIZED (
        SELECT * FROM unnest(
            NEW.rule_ids, {schema}.cells(NEW.rule_versions), NEW.verdicts, {schema}.cells(NEW.reasons),
            {schema}.cells(NEW.values), {schema}.cells(NEW.policy_ids), {schema}.cells(NEW.policy_versions),
            NEW.evaluated_at, NEW.sync_ids, {schema}.cells(NEW.origins), {schema}.cells(NEW.thresholds),
            {schema}.cells(NEW.days), {schema}.cells(NEW.input_hashes), NEW.fingerprints, NEW.open_since
        ) WITH ORDINALITY AS n (
            rule_id, rule_version, verdict, reason, values, policy_id, policy_version, evaluated_at, sync_id, origins,
            thresholds, day, input_hash, fingerprint, open_since, place
        )
    ),
    paired AS (
        SELECT f.rule_id AS former_rule_id, n.place, f.evaluated_at AS began_at, f.open_since AS former_open_since,
               f.rule_id IS NOT NULL AND n.rule_id IS NOT NULL AND n.fingerprint IS NULL AS is_kept,
               n.rule_id IS NULL OR (n.evaluated_at, n.sync_id) = (f.evaluated_at, f.sync_id) AS is_unsigned,
               is_moved OR n.rule_id IS NULL OR (
                    f.rule_version, f.verdict, f.reason, f.values, f.policy_id, f.policy_version, f.evaluated_at,
                    f.sync_id, f.origins, f.thresholds, f.day, f.input_hash, f.fingerprint, f.open_since
               ) IS DISTINCT FROM (
                    n.rule_version, n.verdict, n.reason, n.values, n.policy_id, n.policy_version, n.evaluated_at,
                    n.sync_id, n.origins, n.thresholds, n.day, n.input_hash, n.fingerprint, n.open_since
               ) AS differs,
               n.evaluated_at AS given_at, n.sync_id AS given_by
        FROM former AS f FULL JOIN given AS n USING (rule_id)
    ),
    compared AS MATERIALIZED (
        SELECT former_rule_id, place, former_open_since, is_kept, is_unsigned,
               former_rule_id IS NOT NULL AND differs AND NOT is_kept AS has_ended,
               greatest(began_at, CASE WHEN is_unsigned THEN written_at ELSE given_at END) AS ended_at,
               CASE WHEN is_unsigned THEN writer ELSE given_by END AS ended_by
        FROM paired
    ),
    saved AS (
        INSERT INTO {schema}.version_verdict_history (
            valid_to, ended_by_sync_id, tenant_id, model_name, version_number,
            rule_ids, rule_versions, verdicts, reasons, values, policy_ids, policy_versions, evaluated_at, sync_ids,
            origins, thresholds, days, input_hashes, fingerprints, open_since
        )
        SELECT c.ended_at, c.ended_by, OLD.tenant_id, OLD.model_name, OLD.version_number,
               array_agg(f.rule_id ORDER BY c.place, f.rule_id),
               string_agg(f.rule_version, E'\x1e' ORDER BY c.place, f.rule_id),
               array_agg(f.verdict ORDER BY c.place, f.rule_id),
               string_agg(f.reason, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.values, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.policy_id, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.policy_version, E'\x1e' ORDER BY c.place, f.rule_id),
               array_agg(f.evaluated_at ORDER BY c.place, f.rule_id),
               array_agg(f.sync_id ORDER BY c.place, f.rule_id),
               string_agg(f.origins, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.thresholds, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.day, E'\x1e' ORDER BY c.place, f.rule_id),
               string_agg(f.input_hash, E'\x1e' ORDER BY c.place, f.rule_id),
               array_agg(f.fingerprint ORDER BY c.place, f.rule_id),
               array_agg(f.open_since ORDER BY c.place, f.rule_id)
        FROM compared AS c JOIN former AS f ON f.rule_id = c.former_rule_id
        WHERE c.has_ended
        GROUP BY c.ended_at, c.ended_by
    ),
    merged AS (
        SELECT f.*, c.place FROM compared AS c JOIN former AS f ON f.rule_id = c.former_rule_id WHERE c.is_kept
        UNION ALL
        SELECT n.rule_id, n.rule_version, n.verdict, n.reason, n.values, n.policy_id, n.policy_version,
               CASE WHEN c.has_ended THEN c.ended_at ELSE n.evaluated_at END,
               CASE WHEN c.has_ended THEN c.ended_by ELSE n.sync_id END, n.origins, n.thresholds, n.day, n.input_hash,
               CASE WHEN c.has_ended AND c.is_unsigned THEN '' ELSE n.fingerprint END,
               CASE
                   WHEN NOT c.has_ended THEN n.open_since
                   WHEN n.verdict IN ('fail', 'error', 'not evidenced') THEN coalesce(c.former_open_since, c.ended_at)
                   WHEN n.verdict = 'not read' THEN c.former_open_since
               END,
               c.place
        FROM compared AS c JOIN given AS n USING (place) WHERE NOT c.is_kept
    )
    SELECT array_agg(rule_id ORDER BY place), string_agg(rule_version, E'\x1e' ORDER BY place),
           array_agg(verdict ORDER BY place), string_agg(reason, E'\x1e' ORDER BY place),
           string_agg(values, E'\x1e' ORDER BY place), string_agg(policy_id, E'\x1e' ORDER BY place),
           string_agg(policy_version, E'\x1e' ORDER BY place), array_agg(evaluated_at ORDER BY place),
           array_agg(sync_id ORDER BY place), string_agg(origins, E'\x1e' ORDER BY place),
           string_agg(thresholds, E'\x1e' ORDER BY place), string_agg(day, E'\x1e' ORDER BY place),
           string_agg(input_hash, E'\x1e' ORDER BY place), array_agg(fingerprint ORDER BY place),
           array_agg(open_since ORDER BY place)
    INTO NEW.rule_ids, NEW.rule_versions, NEW.verdicts, NEW.reasons, NEW.values, NEW.policy_ids, NEW.policy_versions,
         NEW.evaluated_at, NEW.sync_ids, NEW.origins, NEW.thresholds, NEW.days, NEW.input_hashes, NEW.fingerprints,
         NEW.open_since
    FROM merged;
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_verdicts BEFORE UPDATE ON {schema}.version_verdicts
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.save_former_verdicts();
CREATE TRIGGER save_deleted_verdicts BEFORE DELETE ON {schema}.version_verdicts
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_verdicts();

-- This is a trigger, since a check constraint would refuse a row before Postgres finds that a former row exists.
CREATE FUNCTION {schema}.refuse_missing_verdict() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a fingerprint of the verdicts on % % is null, and the rule has no former verdict',
        NEW.model_name, NEW.version_number USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER refuse_missing_verdict AFTER INSERT OR UPDATE ON {schema}.version_verdicts
FOR EACH ROW WHEN (array_position(NEW.fingerprints, NULL) IS NOT NULL)
EXECUTE FUNCTION {schema}.refuse_missing_verdict();

-- Each change of a record or a policy evaluates the badge again; only another badge, or another key, is another state.
CREATE FUNCTION {schema}.save_former_badge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.compliance_badge_history
        VALUES (DEFAULT, greatest(OLD.changed_at, {schema}.write_time()), {schema}.write_sync_id(), OLD.*);
        RETURN OLD;
    END IF;
    IF (NEW.tenant_id, NEW.model_name, NEW.version_number, NEW.badge)
       = (OLD.tenant_id, OLD.model_name, OLD.version_number, OLD.badge) THEN
        NEW.changed_at := OLD.changed_at;
        NEW.sync_id := OLD.sync_id;
        RETURN NEW;
    END IF;
    IF (NEW.changed_at, NEW.sync_id) = (OLD.changed_at, OLD.sync_id) THEN
        NEW.changed_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO {schema}.compliance_badge_history VALUES (DEFAULT, NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_badge BEFORE UPDATE OR DELETE ON {schema}.compliance_badges
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_badge();

-- A view with a row for each verdict. A text whose only cell is empty is split into no cells, hence coalesce.
CREATE VIEW {schema}.compliance_results WITH (security_invoker = true) AS
SELECT v.tenant_id, v.model_name, v.version_number, r.rule_id, r.rule_version::integer AS rule_version, r.verdict,
       coalesce(r.reason, '') AS reason, r.values::jsonb AS values, coalesce(r.policy_id, '') AS policy_id,
       coalesce(r.policy_version, '') AS policy_version, r.evaluated_at, r.sync_id, r.origins::jsonb AS origins,
       r.thresholds::jsonb AS thresholds, nullif(r.day, '')::date AS day, coalesce(r.input_hash, '') AS input_hash,
       r.fingerprint, r.open_since
FROM {schema}.version_verdicts AS v CROSS JOIN LATERAL unnest(
    v.rule_ids, string_to_array(v.rule_versions, E'\x1e'), v.verdicts, string_to_array(v.reasons, E'\x1e'),
    string_to_array(v.values, E'\x1e'), string_to_array(v.policy_ids, E'\x1e'), string_to_array(v.policy_versions, E'\x1e'),
    v.evaluated_at, v.sync_ids, string_to_array(v.origins, E'\x1e'), string_to_array(v.thresholds, E'\x1e'),
    string_to_array(v.days, E'\x1e'), string_to_array(v.input_hashes, E'\x1e'), v.fingerprints, v.open_since
) AS r (
    rule_id, rule_version, verdict, reason, values, policy_id, policy_version, evaluated_at, sync_id, origins,
    thresholds, day, input_hash, fingerprint, open_since
);

-- This view has only the columns that queries over all versions need. So these queries read a tenth of the bytes.
CREATE VIEW {schema}.compliance_verdicts WITH (security_invoker = true) AS
SELECT v.tenant_id, v.model_name, v.version_number, r.rule_id, r.verdict, r.evaluated_at, r.open_since
FROM {schema}.version_verdicts AS v
CROSS JOIN LATERAL unnest(v.rule_ids, v.verdicts, v.evaluated_at, v.open_since)
    AS r (rule_id, verdict, evaluated_at, open_since);

CREATE VIEW {schema}.compliance_result_history WITH (security_invoker = true) AS
SELECT v.state_id, v.valid_to, v.ended_by_sync_id, v.tenant_id, v.model_name, v.version_number, r.rule_id,
       r.rule_version::integer AS rule_version, r.verdict, coalesce(r.reason, '') AS reason, r.values::jsonb AS values,
       coalesce(r.policy_id, '') AS policy_id, coalesce(r.policy_version, '') AS policy_version, r.evaluated_at,
       r.sync_id, r.origins::jsonb AS origins, r.thresholds::jsonb AS thresholds, nullif(r.day, '')::date AS day,
       coalesce(r.input_hash, '') AS input_hash, r.fingerprint, r.open_since
FROM {schema}.version_verdict_history AS v CROSS JOIN LATERAL unnest(
    v.rule_ids, string_to_array(v.rule_versions, E'\x1e'), v.verdicts, string_to_array(v.reasons, E'\x1e'),
    string_to_array(v.values, E'\x1e'), string_to_array(v.policy_ids, E'\x1e'), string_to_array(v.policy_versions, E'\x1e'),
    v.evaluated_at, v.sync_ids, string_to_array(v.origins, E'\x1e'), string_to_array(v.thresholds, E'\x1e'),
    string_to_array(v.days, E'\x1e'), string_to_array(v.input_hashes, E'\x1e'), v.fingerprints, v.open_since
) AS r (
    rule_id, rule_version, verdict, reason, values, policy_id, policy_version, evaluated_at, sync_id, origins,
    thresholds, day, input_hash, fingerprint, open_since
);

-- The views of all states; the current state has no end.
-- As of T: WHERE valid_from <= T AND (valid_to > T OR valid_to IS NULL).
CREATE VIEW {schema}.canonical_record_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, description, business_purpose, owner, ai_system, version_number, lifecycle_stage,
       aliases, created_at, last_updated_at, deployment_status, source_run_id, logged_model_id, source_artifact_uri,
       training_status, training_user, training_started_at, training_ended_at, metrics, hyperparameters,
       evaluation_tags, generative_evaluation, experiment_id, experiment_name, code_commit, training_entrypoint, dataset_reference,
       artifact_uri, risk_category, model_tier, regulatory_scope, data_sensitivity, confidentiality,
       privacy_assessment_status, fundamental_rights_assessment_status, human_oversight_status, compliance_approver,
       approval_date, reviewer, validator, validation_date, security_assessment_version, monitoring_evidence,
       model_kind, base_model, base_model_license, prompt_reference, linked_prompts, safety_evaluation, runtime_environment,
       artifact_manifest, evidence_files, origins, incomplete, findings, deleted_at, fingerprint,
       revision, changed_at AS valid_from, sync_id,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.canonical_records
UNION ALL
SELECT tenant_id, model_name, description, business_purpose, owner, ai_system, version_number, lifecycle_stage,
       aliases, created_at, last_updated_at, deployment_status, source_run_id, logged_model_id, source_artifact_uri,
       training_status, training_user, training_started_at, training_ended_at, metrics, hyperparameters,
       evaluation_tags, generative_evaluation, experiment_id, experiment_name, code_commit, training_entrypoint, dataset_reference,
       artifact_uri, risk_category, model_tier, regulatory_scope, data_sensitivity, confidentiality,
       privacy_assessment_status, fundamental_rights_assessment_status, human_oversight_status, compliance_approver,
       approval_date, reviewer, validator, validation_date, security_assessment_version, monitoring_evidence,
       model_kind, base_model, base_model_license, prompt_reference, linked_prompts, safety_evaluation, runtime_environment,
       artifact_manifest, evidence_files, origins, incomplete, findings, deleted_at, fingerprint,
       revision, changed_at AS valid_from, sync_id,
       valid_to, ended_by_sync_id
FROM {schema}.canonical_record_history;

CREATE VIEW {schema}.compliance_result_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id, policy_version,
       evaluated_at AS valid_from, sync_id, origins, thresholds, day, input_hash, fingerprint, open_since,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.compliance_results
UNION ALL
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id, policy_version,
       evaluated_at AS valid_from, sync_id, origins, thresholds, day, input_hash, fingerprint, open_since,
       valid_to, ended_by_sync_id
FROM {schema}.compliance_result_history;

CREATE VIEW {schema}.compliance_badge_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS valid_from, versions_digest,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.compliance_badges
UNION ALL
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS valid_from, versions_digest,
       valid_to, ended_by_sync_id
FROM {schema}.compliance_badge_history;
