"""Why the native runtime cannot be had, in words."""

from __future__ import annotations

from catena.embedded.runtime import missing_instructions, why_not_imported


def test_an_old_cpu_is_recognised() -> None:
    modern = "processor : 0\nflags\t\t: fpu sse avx2 fma f16c bmi1 bmi2\n"
    assert missing_instructions(modern) == []
    assert missing_instructions(modern.replace("avx2 fma", "avx")) == ["avx2", "fma"]
    assert missing_instructions("Features : asimd\n") == []


def test_a_missing_system_library_is_told_with_the_command_that_installs_it() -> None:
    complaint = "libgomp.so.1: cannot open shared object file: No such file or directory"
    assert "apt-get install -y libgomp1" in why_not_imported(complaint)
    assert why_not_imported("oh") == "The embedded engine cannot be loaded: oh"
