drop trigger board_definition_note on ladder.board;
drop trigger api_key_definition_note on ladder.api_key;
drop trigger combination_definition_note on ladder.combination;
drop function ladder.definition_note();
alter table ladder.game drop column definition;
