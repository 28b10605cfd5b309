-- PostgreSQL only: tenants cannot reach each other's rows, whatever a query asks for.
--
-- The application speaks as one of two roles, which it takes at the beginning of every transaction and which end with
-- it. `export_center_tenant` sees the rows of the tenant that the transaction named, and no row where it named none.
-- `export_center_sweeper` sees of all tenants only which run wants to be looked at, and when, and how many events
-- there are.
-- Roles belong to the whole server: another catalog may have made them, perhaps at this moment.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['export_center_tenant', 'export_center_sweeper'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'tenants', 'export_profiles', 'export_runs', 'export_inputs', 'export_distributions', 'export_events',
        'audit_log', 'api_tokens', 'quotas', 'usage_days', 'idempotency_keys'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_tenant ON %I TO export_center_tenant '
            'USING (tenant = current_setting(''export_center.tenant'', true)) '
            'WITH CHECK (tenant = current_setting(''export_center.tenant'', true))',
            name
        );
    END LOOP;
END
$$;

-- What is written once is not even the application's to change.
GRANT SELECT, INSERT ON export_profiles, export_inputs, export_events, audit_log TO export_center_tenant;
GRANT SELECT, INSERT, UPDATE ON tenants, export_runs, export_distributions, api_tokens, quotas, usage_days
    TO export_center_tenant;
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO export_center_tenant;

CREATE POLICY due ON export_runs FOR SELECT TO export_center_sweeper USING (true);
GRANT SELECT (tenant, run, wakes_ms) ON export_runs TO export_center_sweeper;
CREATE POLICY last_event ON tenants FOR SELECT TO export_center_sweeper USING (true);
GRANT SELECT (tenant, last_event) ON tenants TO export_center_sweeper;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO export_center_tenant, export_center_sweeper', current_schema());
    EXECUTE format('GRANT export_center_tenant, export_center_sweeper TO %I', current_user);
END
$$;
