"""`expunge certificate keygen|show|verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from expunge.app.options import Json
from expunge.facts.errors import InputError, VerificationFailed

page = typer.Typer(help="Make keys, show and verify certificates; works offline, without torch.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(page, name="certificate")


@page.command("keygen")
def keygen(
    private: Annotated[Path, typer.Argument(help="File for the private key (PEM, readable by you only).")],
    public: Annotated[
        Path | None, typer.Argument(help="File for the public key; default: the same name with .pub.")
    ] = None,
) -> None:
    """Make an Ed25519 key pair."""
    from expunge.certificate.keys import keygen as make

    written = public or private.with_suffix(".pub")
    typer.echo(f"key id {make(private, written)}\nprivate {private}\npublic  {written}")


@page.command("show")
def show(certificate: Annotated[Path, typer.Argument(help="A certificate.")], as_json: Json = False) -> None:
    """Say in plain lines what a certificate states; whether it holds is for verify."""
    from expunge.certificate.predicate import read_certificate
    from expunge.certificate.show import describe

    statement = read_certificate(_read(certificate))
    typer.echo(statement.payload().decode() if as_json else describe(statement))


@page.command("verify")
def verify(
    certificate: Annotated[Path, typer.Argument(help="A certificate.")],
    key: Annotated[Path | None, typer.Option("--key", help="The issuer's public key (PEM).")] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "--unlearned", help="The model directory it speaks of.")
    ] = None,
    target: Annotated[Path | None, typer.Option("--target", help="The parent model's directory.")] = None,
    allow_unknown_signer: Annotated[
        bool, typer.Option("--allow-unknown-signer", help="Accept any consistent signature.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every byte: signature, claim against evidence, every file of the model directory."""
    from expunge.certificate.keys import load_public_key
    from expunge.certificate.verify import verify as check

    public = load_public_key(key) if key is not None else None
    found = check(
        _read(certificate), key=public, model_dir=model, parent_dir=target, allow_unknown_signer=allow_unknown_signer
    )
    if as_json:
        checks = [{"name": one.name, "state": one.state, "words": one.words} for one in found.checks]
        typer.echo(json.dumps({"ok": found.ok, "checks": checks}, indent=1))
    else:
        typer.echo(found.text())
    if not found.ok:
        raise VerificationFailed("the certificate does not hold", causes=tuple(check.words for check in found.failures))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", do="give the path of a certificate") from error
