-- Time zones are names of the tz database, spelled as there, and are computed by the zone: boards whose zone is something else are
-- reported.
--
-- Changes the spelling of board.time_zone (`europe/paris`, `posix/Europe/Paris`) where the zone stays the same. A zone that is no name of
-- the tz database (`+05:30`, `IST`, `localtime`) is left alone and reported: it is computed as before, and new boards cannot have it.
-- Boards of CET, EET, EST, HST, MET, MST and WET were computed by the abbreviation of that name, without summer time; the functions
-- that follow compute them by the zone. For those the tally of submissions by day is counted again.
--
-- Locks: the rows of the boards that change. Old binaries: go on.
-- Undo by hand: nothing to undo; 0025_time_zones.down.sql.
do $$
declare
    r record;
    v_is_computed_anew boolean := false;
begin
    if not exists (select from ladder.board b where b.deleted_at is null and b.time_zone <> 'UTC') then
        return;
    end if;
    for r in
        with zone as materialized (
            select z.name, z.utc_offset
            from pg_timezone_names z
            where z.name !~ '^(posix|right)/'
              and z.name not in ('localtime', 'posixrules', 'Factory')
        )
        select b.id, g.name as game, b.name as board, b.time_zone, z.name as zone, z.utc_offset
        from ladder.board b
        join ladder.game g on g.id = b.game_id
        left join zone z on lower(z.name) = lower(regexp_replace(b.time_zone, '^posix/', '', 'i'))
        where b.deleted_at is null
          and b.time_zone <> 'UTC'
        order by g.name, b.name
    loop
        if r.zone is null then
            raise warning 'board %/%: time_zone "%" is no name of the tz database. Its periods are computed as before. To change that, make another board with a name of the tz database and import the scores there.',
                r.game, r.board, r.time_zone;
        elsif r.zone <> r.time_zone then
            update ladder.board set time_zone = r.zone, updated_at = greatest(now(), updated_at + interval '1 microsecond') where id = r.id;
            raise warning 'board %/%: time_zone "%" is spelled "%" now. Its periods stay as they are.', r.game, r.board, r.time_zone, r.zone;
        end if;
        if r.zone in ('CET', 'EET', 'EST', 'HST', 'MET', 'MST', 'WET') then
            v_is_computed_anew := true;
            raise warning 'board %/%: time_zone "%" is computed by the zone from now on, with its summer time, and no longer by the abbreviation: now % ahead of UTC (it was %). Periods that exist keep their bounds; the next one of each window begins where the last one ends.',
                r.game, r.board, r.zone, r.utc_offset, now() at time zone r.zone - now() at time zone 'UTC';
        end if;
    end loop;
    if v_is_computed_anew then
        delete from ladder.tally_cursor;
    end if;
end
$$;
