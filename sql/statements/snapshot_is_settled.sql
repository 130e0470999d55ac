-- Have all of them ended?
-- $1 transaction id
select ladder.writers_xmin() >= $1::xid8 as is_settled
