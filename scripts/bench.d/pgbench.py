"""The statement of standard input, as the service runs it, as a script for pgbench.

    pgbench.py USERS <statement

Its parameters become what the service gives them: an id that grows, the texts, a random user of
USERS, a value that changes. "-D run=N" must differ from run to run.
"""
import re
import sys

SET = """\
\\set n :n + 1
\\set value random(1, 99999999999999)
\\set id random(1, {users})
"""
UUID = ("(lpad(to_hex((:run)::bigint), 8, '0') || '-' || lpad(to_hex((:client_id)::bigint), 4, '0') || '-7000-8000-' ||"
        " lpad(to_hex((:n)::bigint), 12, '0'))")
PARAMETERS = {  # of user_change
    "$1": UUID,
    "$2": ":request",
    "$3": ":request",
    "$4": "NULL",
    "$5": ":id",
    "$6": """('{"nickname":"' || lpad((:value)::text, 14, '0') || '"}')""",
    "$7": "NULL",
    "$8": "'0'",
    "$9": "'0'",
    "$10": "NULL",
    "$11": "'f'",
}


def guarded(literal):
    """pgbench looks for :names in literals as well; \\x3A is a colon too."""
    text = literal.group()
    return "E" + text.replace(":", "\\x3A") if ":" in text and "\\" not in text else text


def main():
    statement = re.sub(r"'[^']*'", guarded, sys.stdin.read().strip())
    found = set(re.findall(r"\$\d+", statement))
    if found != set(PARAMETERS):
        sys.exit("pgbench.py: the statement's parameters are not what they were: %s" % sorted(found))
    statement = re.sub(r"\$\d+", lambda m: PARAMETERS[m.group()], statement)
    print(SET.format(users=sys.argv[1]) + statement + ";")


main()
