-- Second step: every submission that was on its way has ended; the standing is final.
update ladder.period p
set state = 'closed', closed_at = now()
where p.state = 'closing'
returning p.id
