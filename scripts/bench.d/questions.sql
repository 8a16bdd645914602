-- What people look for: whole names, one and two syllables, beginnings, pieces from the middle,
-- addresses, and some that nobody has. :how_many of them, a line each.
SELECT CASE n % 8
    WHEN 0 THEN name
    WHEN 1 THEN left(name, 1)
    WHEN 2 THEN right(name, 2)
    WHEN 3 THEN right(name, 1)
    WHEN 4 THEN left(name, 4)
    WHEN 5 THEN right(name, 4)
    WHEN 6 THEN CASE WHEN n % 16 = 6 THEN split_part(email, '@', 1) || '@' ELSE substr(email, 4) END
    ELSE CASE WHEN n % 16 = 7 THEN 'zz' || name ELSE substr(md5(name), 1, 3) END END
FROM (SELECT row_number() OVER () AS n, name, email FROM users TABLESAMPLE SYSTEM (5) REPEATABLE (7)
      ORDER BY md5(id::text) LIMIT :how_many) x;
