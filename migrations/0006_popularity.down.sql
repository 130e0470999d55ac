drop table ladder.popularity;
