-- Postgres compresses the values that make a row too long: the JSON of nearly every record, and some columns with a
-- version's verdicts. With the old method, pglz, compression takes half of the time of writing a record. lz4 takes a
-- fraction of that time, but not every server was built with lz4.
DO $$
DECLARE
    long_column record;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
    ) THEN
        RETURN;
    END IF;
    FOR long_column IN
        SELECT table_name, column_name FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = '{schema}' AND table_type = 'BASE TABLE' AND (
            data_type IN ('json', 'jsonb', 'ARRAY')
            OR (data_type = 'text' AND table_name IN ('version_verdicts', 'version_verdict_history'))
        )
    LOOP
        EXECUTE format(
            'ALTER TABLE {schema}.%I ALTER COLUMN %I SET COMPRESSION lz4', long_column.table_name, long_column.column_name);
    END LOOP;
END $$;

-- No query needs statistics of these columns. Each ANALYZE of them would decompress up to 30,000 rows.
DO $$
DECLARE
    unselected record;
BEGIN
    FOR unselected IN
        SELECT attrelid::regclass AS table_name, attname FROM pg_attribute
        WHERE attrelid IN (
            '{schema}.version_verdicts'::regclass, '{schema}.version_verdict_history'::regclass,
            '{schema}.training_runs'::regclass, '{schema}.logged_models'::regclass
        ) AND attnum > 0 AND (
            format_type(atttypid, NULL) ~ '^jsonb$|\[\]$'
            OR attname IN (
                'rule_versions', 'reasons', 'values', 'policy_ids', 'policy_versions', 'origins', 'thresholds', 'days',
                'input_hashes'
            )
        )
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', unselected.table_name, unselected.attname);
    END LOOP;
END $$;
