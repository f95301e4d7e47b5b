"""Between us and a checker: sets its limits, starts it, and takes everything it started with it.

`python -I -S launcher.py MEMORY FILE CPU PROCESSES PROGRAM [WORD ...]`, a bare Python that imports
nothing of ours. Limits set after a fork in a process that has threads (torch, say) may deadlock,
and before it they would bind ourselves.

On Linux the program gets namespaces of its own for users and processes, where the kernel allows
that: when it ends, or is killed, the kernel ends whatever it has left behind, also what has left
its process group; and its processes can be counted apart from the user's others. Their number is
limited by the kernel and, as root has no such limit, by being looked at 50 times a second.
"""

import os
import resource
import signal
import struct
import sys

NOT_STARTED, TOO_MANY = 127, 125
NEW_USER, NEW_PID = 0x10000000, 0x20000000  # CLONE_NEWUSER, CLONE_NEWPID
LOOK_EVERY_S = 0.02
WATCH_NICER = 10


def main(numbers: list[int], words: list[str]) -> None:
    """Become the program, or start it and end as it ends."""
    memory, size, cpu, processes = numbers
    set_limits({"DATA": memory, "FSIZE": size, "CPU": cpu, "CORE": 0})
    raised = raise_priority()
    if not isolate_process():
        os.nice(raised)
        limit_beside_others(processes)
        start(words)
    set_limits({"NPROC": processes})
    ours, theirs = os.pipe()
    first = os.fork()
    if not first:
        os.close(ours)
        keep_watch(words, processes, theirs, raised)
    os.close(theirs)
    os.waitpid(first, 0)
    told = os.read(ours, 4)
    end_as(struct.unpack("i", told)[0] if told else signal.SIGKILL, processes)


def set_limits(limits: dict[str, int]) -> None:
    """Limits of this process and its children, never above those it has."""
    for name, value in limits.items():
        which = getattr(resource, "RLIMIT_" + name, None)
        if which is None:
            continue
        hard = resource.getrlimit(which)[1]
        above = value + (name == "CPU")  # the soft limit has a signal of its own
        free = hard == resource.RLIM_INFINITY
        resource.setrlimit(which, (value, above) if free else (min(value, hard), min(above, hard)))


def raise_priority() -> int:
    """By how much: root's watch must get its turn amid a flood, others have the kernel's limit."""
    if os.geteuid():
        return 0
    try:
        os.nice(-WATCH_NICER)
    except OSError:
        return 0
    return WATCH_NICER


def isolate_process() -> bool:
    """Give children of this process namespaces of their own, as the same user; whether they have.

    Half of it would be worse than nothing, so a child tries it first.
    """
    trial = os.fork()
    if not trial:
        try:
            enter()
        except (OSError, AttributeError):
            os._exit(1)
        os._exit(0)
    if os.waitpid(trial, 0)[1]:
        return False
    enter()
    return True


def enter() -> None:
    user, group = os.geteuid(), os.getegid()
    unshare(NEW_USER | NEW_PID)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def unshare(flags: int) -> None:
    if hasattr(os, "unshare"):
        os.unshare(flags)
        return
    import ctypes

    c = ctypes.CDLL(None, use_errno=True)
    if c.unshare(flags):  # AttributeError where there is no such call
        raise OSError(ctypes.get_errno(), "unshare")


def limit_beside_others(processes: int) -> None:
    """So many more than the user has now. Root has no limit, nor has a system without /proc."""
    try:
        own = os.getuid()
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    count = 0
    for name in names:
        try:
            if os.stat(f"/proc/{name}").st_uid == own:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:  # it has ended meanwhile
            continue
    set_limits({"NPROC": count + processes})


def keep_watch(words: list[str], processes: int, told: int, raised: int) -> None:
    """The first process of the namespace: with it all others end. Tells how the program ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    program = os.fork()
    if not program:
        os.close(told)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.nice(raised)
        start(words)
    status = None
    while status is None:
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_EVERY_S)
        status = reaped(program)
        if status is None and flooded(processes):
            status = -1
    os.write(told, struct.pack("i", status))
    os._exit(0)


def reaped(program: int) -> "int | None":
    """Take in whoever has ended; the program's wait status once it is among them."""
    found = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not process:
            return found
        if process == program:
            found = status


def flooded(processes: int) -> bool:
    """Whether more than so many processes and threads live in this namespace."""
    with open("/proc/loadavg") as file:
        newest = int(file.read().split()[-1])  # the last number given in our namespace
    return newest > processes and sum(map(lives, range(2, newest + 1))) > processes


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def end_as(status: int, processes: int) -> None:
    """End as the program did; its wait status is -1 when it had too many processes."""
    if status == -1:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        os.write(2, f"more than {processes} processes at a time\n".encode())
        os._exit(TOO_MANY)
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if catchable(status) else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def catchable(status: int) -> bool:
    return os.WTERMSIG(status) not in (signal.SIGKILL, signal.SIGSTOP)


def start(words: list[str]) -> None:
    """Become the program; exit status 127 where it cannot be run."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, the program must not
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NOT_STARTED)


if __name__ == "__main__":
    main(list(map(int, sys.argv[1:5])), sys.argv[5:])
