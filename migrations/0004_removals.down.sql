drop index ladder.score_event_removed_idx;
