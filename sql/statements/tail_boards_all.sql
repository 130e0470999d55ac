-- Every board: where the rows that name those with changes can't be read.
select b.id
from ladder.board b
order by b.id
