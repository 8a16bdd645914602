DROP INDEX events_of_user_in_order;
DROP INDEX events_of_type;
DROP INDEX events_in_order;
