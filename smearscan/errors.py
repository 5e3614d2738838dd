"""Everything that can go wrong, as one tree.

    SmearscanError          exit code
      ConfigError           2   the command line, the TOML file or a CSV is wrong: stops the run
      PluginError           4   unknown name, missing package, missing or altered weights: stops the run
      OutputError           4   disk full, folder not writable, locked by another run: not the slide's fault
      SlideError            -   this slide is not scanned, the batch goes on
        UnreadableSlide         the file cannot be opened or decoded
        MissingResolution       nothing says how large a pixel is
        SlideTimeout            the slide took longer than --slide-timeout

A message says what is wrong, with the value, and what to do. The two leaf packages have their own roots,
``detectors.DetectorError`` and ``classifiers.ClassifierError``.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a scheduler may rely on."""

    DONE = 0  # every slide done
    BUG = 1  # a programming error, with its traceback
    USAGE = 2  # the command line or a configuration file is wrong
    SOME_NOT_DONE = 3  # everything is written, some slides are not done
    NOTHING_DONE = 4  # nothing done, or the run had to stop


class SmearscanError(Exception):
    """Root of the errors that smearscan raises on purpose."""

    exit_code = ExitCode.NOTHING_DONE


class ConfigError(SmearscanError):
    """What the user asked for makes no sense."""

    exit_code = ExitCode.USAGE


class PluginError(SmearscanError):
    """A detector, classifier or report writer cannot be had."""


class OutputError(SmearscanError):
    """The report folder cannot be written."""


class SlideError(SmearscanError):
    """This slide cannot be scanned; the batch goes on."""

    exit_code = ExitCode.SOME_NOT_DONE


class UnreadableSlide(SlideError):
    """The file is no slide, or is damaged."""


class MissingResolution(SlideError):
    """Nothing says how many microns a pixel covers."""


class SlideTimeout(SlideError):
    """The slide took longer than it may."""
