-- Time zones: `at time zone` as the tz database has it.
--
-- PostgreSQL's `at time zone NAME` reads NAME as an abbreviation first: `CET` is then one hour ahead of UTC for ever, where the
-- zone CET has summer time. These are the names of the tz database that are abbreviations too (timezonesets/*.txt); GMT, UCT and
-- UTC are among them, and are the same either way. The setting TimeZone takes zones only, so such a name is computed by it.
-- A name with a slash is no abbreviation.

create or replace function ladder.zone_is_abbreviation(zone text)
    returns boolean
    language sql
    immutable
    parallel safe
as $$
    select zone in ('CET', 'EET', 'EST', 'HST', 'MET', 'MST', 'WET')
$$;
comment on function ladder.zone_is_abbreviation(text) is 'Would PostgreSQL compute this zone by an abbreviation of the same name?';

-- The setting of the function is what is restored at its end, also after an error.
create or replace function ladder.local_time_by_setting(at timestamptz, zone text)
    returns timestamp
    language plpgsql
    stable
    set timezone = 'UTC'
as $$
begin
    perform set_config('TimeZone', zone, true);
    return at::timestamp;
end
$$;
comment on function ladder.local_time_by_setting(timestamptz, text) is 'local_time of a zone that is the name of an abbreviation too.';

create or replace function ladder.instant_by_setting(local timestamp, zone text)
    returns timestamptz
    language plpgsql
    stable
    set timezone = 'UTC'
as $$
begin
    perform set_config('TimeZone', zone, true);
    return local::timestamptz;
end
$$;
comment on function ladder.instant_by_setting(timestamp, text) is 'instant_of a zone that is the name of an abbreviation too.';

-- Without settings of their own, so that they are inlined.
create or replace function ladder.local_time(at timestamptz, zone text)
    returns timestamp
    language sql
    stable
as $$
    select case when ladder.zone_is_abbreviation(zone) then ladder.local_time_by_setting(at, zone) else at at time zone zone end
$$;
comment on function ladder.local_time(timestamptz, text) is 'What the clocks of a zone show at an instant.';

create or replace function ladder.instant_of(local timestamp, zone text)
    returns timestamptz
    language sql
    stable
as $$
    select case when ladder.zone_is_abbreviation(zone) then ladder.instant_by_setting(local, zone) else local at time zone zone end
$$;
comment on function ladder.instant_of(timestamp, text) is 'The instant at which the clocks of a zone show a time: of two the later one; of none, as if the clocks had not gone ahead yet.';
