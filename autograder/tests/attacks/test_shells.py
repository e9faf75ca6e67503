"""Magics and programs are used instead of Python: shell lines, %run, %%bash, a debugger, compilers, sudo."""

from autograder.tests.attacks.attack import SECRET, Attack

FIRST = """
import os, re, subprocess

texts = [str(get_ipython().getoutput(f"cat {PLACES.course}/secret.txt {PLACES.home}/.ssh/*; ls -la / /root; id; sudo -n id; "
                                     f"su -c id; mount; cat /etc/shadow; crontab -l; ps ax"))]
for magic in ("sx ls /work", "env", "who", "pwd", "lsmagic", "system ls /"):
    try:
        texts.append(str(get_ipython().run_line_magic(*magic.partition(" ")[::2])))
    except Exception as error:
        texts.append(str(error))
setuid = subprocess.run("find /usr/bin /bin /sbin -perm -4000 2>/dev/null | head -3", shell=True, capture_output=True, text=True)
text = "".join(texts)
report(secrets=re.findall(PATTERN, text), root="uid=0" in text, shadow="root:*" in text or "root:$" in text,
       nosuid="nosuid" in open("/proc/self/mountinfo").read())
"""
ATTACKS = [Attack("shells", first=f"PATTERN = {SECRET!r}\n" + FIRST)]


def test_programs_see_no_more_than_python_does(outcome):
    outcome.held()
    assert outcome.reported == {"secrets": [], "root": False, "shadow": False, "nosuid": True}
