DROP TRIGGER users_note_removal ON users;
DROP FUNCTION users_note_removal();
DROP TABLE profile_removals;
