-- time_of, us_of: instants as microseconds since 1970, exact both ways (extract(epoch) goes through numeric). Without
-- settings of their own, so that they are inlined.
create or replace function ladder.time_of(us bigint)
    returns timestamptz
    language sql
    stable
    parallel safe
as $$
    select '1970-01-01T00:00:00Z'::timestamptz + us * interval '1 microsecond'
$$;
comment on function ladder.time_of(bigint) is 'Microseconds since 1970 as an instant.';

create or replace function ladder.us_of(at timestamptz)
    returns bigint
    language sql
    stable
    parallel safe
as $$
    select case when at = 'infinity' then 9223372036854775807
                when at = '-infinity' then -9223372036854775808
                else (extract(epoch from at) * 1000000)::bigint end
$$;
comment on function ladder.us_of(timestamptz) is 'An instant as microseconds since 1970; the infinities as the ends of int64.';

-- backend_started_at: when this session began; with its process number it names the session for good.
create or replace function ladder.backend_started_at()
    returns timestamptz
    language sql
    stable
as $$
    select a.backend_start from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a
$$;
comment on function ladder.backend_started_at() is 'When this session began.';
