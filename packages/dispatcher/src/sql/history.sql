-- name: addHistoryPartitions
-- params: ahead
-- notnull: made
select add_history_partitions($1) as made;
