-- A standing in numbers, and what happens in it (not of one that is closed: nothing does), in one snapshot.
-- $1 window, $2 period start, $3 period, $4 percentiles, $5 kind of bins ('': none), $6 bins, $7 is closed
select s.entries, s.total, ladder.mean_of(s.entries, s.total) as mean, ladder.deviation_of(s.entries, s.total, s.squares) as stddev,
       s.lowest, s.highest, array_to_string(s.percentiles, ',') as percentiles,
       array_to_string(s.bin_from, ',') as bin_from, array_to_string(s.bin_to, ',') as bin_to, array_to_string(s.bin_entries, ',') as bin_entries,
       ladder.us_of(a.since[1]) as minute_us, a.submissions[1] as minute_submissions, a.arrivals[1] as minute_arrivals,
       ladder.us_of(a.since[2]) as hour_us, a.submissions[2] as hour_submissions, a.arrivals[2] as hour_arrivals,
       ladder.us_of(a.since[3]) as day_us, a.submissions[3] as day_submissions, a.arrivals[3] as day_arrivals,
       ladder.us_of(case when $7::boolean then null when pg_is_in_recovery() then pg_last_xact_replay_timestamp() else now() end) as counted_us
from ladder.standing_statistics($1::ladder.window_kind, $2::timestamptz, $3::bigint, $4::float8[], $5::text, $6::int) s
left join ladder.standing_activity($3::bigint) a on not $7::boolean
