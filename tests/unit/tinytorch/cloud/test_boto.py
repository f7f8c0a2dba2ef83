"""What goes wrong with AWS, over HTTP, and what it becomes for everybody who asks AWS for something."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import SSOTokenLoadError

from tests.unit.tinytorch.cloud.account import Account, Lost, Refused, Silent
from tests.unit.tinytorch.cloud.conftest import AT_ONCE
from tinytorch.cloud import NotFound, boto
from tinytorch.cloud.aws import Aws
from tinytorch.errors import CloudError, ConfigError, DataError, TinyTorchError, TransferError
from tinytorch.loading.stores import S3Store, open_store
from tinytorch.transfer import transfer

BODY = b"0123456789" * 1000


@pytest.fixture(scope="module")
def opened_stores() -> Iterator[list[S3Store]]:
    stores: list[S3Store] = []
    yield stores
    for store in stores:
        store.close()


@pytest.fixture
def store(account: Account, opened_stores: list[S3Store]) -> S3Store:
    """Of a bucket with one object, `train/file`; one for all tests, made when it is known where the account is."""
    account.client("s3").create_bucket(Bucket="bucket")
    account.client("s3").put_object(Bucket="bucket", Key="train/file", Body=BODY)
    if not opened_stores:
        opened_stores.append(S3Store("s3://bucket/train", AT_ONCE))
    return opened_stores[0]


# --- what AWS answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault, says, tries",
    [
        (Refused("ExpiredToken"), "the credentials have expired. Get new ones", 1),
        (Refused("RequestExpired"), "the credentials have expired", 1),
        (Refused("AuthFailure", 401), r"aren't accepted \(AuthFailure\). Check the keys", 1),
        (Refused("InvalidAccessKeyId", 403), r"aren't accepted \(InvalidAccessKeyId\)", 1),
        (Refused("SignatureDoesNotMatch", 403, clock=1200), r"clock differs from AWS's by 20 minutes \(SignatureDoesNotMatch\). Set it", 1),
        (Refused("RequestExpired", clock=-3600), r"clock differs from AWS's by 60 minutes \(RequestExpired\)", 1),
        (Refused("RequestTimeTooSkewed", 403, clock=1200), "clock differs from AWS's by 20 minutes", 1),
        (Refused("UnauthorizedOperation", 403), r"not allowed \(UnauthorizedOperation\). Ask whoever manages the account for the right to (DescribeVolumes|GetObject)$", 1),
        (Refused("AccessDenied", 403), r"not allowed \(AccessDenied\)", 1),
        (Refused("OptInRequired", 401), "this region can't be used", 1),
        (Refused("RequestLimitExceeded", 503), "AWS is busy", 3),
        (Refused("ThrottlingException", 400), "AWS is busy", 3),
        (Refused("SlowDown", 503), "AWS is busy", 3),
        (Refused("InternalError", 500), "AWS is busy", 3),
        (Refused("NotImplemented", 501, "no such\n thing"), r"no such thing \(NotImplemented\)$", 1),
        (Lost(), "onnection", 3),
    ],
    ids=lambda value: f"{value.code}{value.clock or ''}" if isinstance(value, Refused) else "lost" if isinstance(value, Lost) else "",
)  # fmt: skip
@pytest.mark.parametrize("who", ["cloud", "loading"])
def test_what_aws_answers_says_what_to_do_and_is_tried_again_if_it_may_pass(
    account: Account, aws: Aws, store: S3Store, who: str, fault: Refused | Lost, says: str, tries: int
) -> None:
    asks: dict[str, Callable[[], Any]] = {"cloud": lambda: list(aws.volumes()), "loading": lambda: store.read("file")}
    account.plan(*[fault] * 3)
    with pytest.raises(CloudError, match=says) as caught:
        asks[who]()
    assert len(account.asked) == tries and caught.value.retryable == (tries > 1)


@pytest.mark.parametrize(
    "fault",
    [
        Refused("PermanentRedirect", 301, headers=(("x-amz-bucket-region", "eu-north-1"),)),
        Refused("AuthorizationHeaderMalformed", 400, "the region 'us-east-1' is wrong; expecting 'eu-north-1'"),
        Refused("400", 400, headers=(("x-amz-bucket-region", "eu-north-1"),)),
    ],
    ids=lambda fault: fault.code,
)
def test_a_bucket_in_another_region_says_which(account: Account, store: S3Store, fault: Refused) -> None:
    """Without a message (HEAD) too. boto3 follows once by itself, which is to no avail here."""
    account.plan(*[fault] * 5)
    with pytest.raises(CloudError, match="s3://bucket/train/file: the bucket is in another region. Set AWS_REGION to eu-north-1$"):
        store.size("file") if fault.code == "400" else store.read("file")
    assert len(account.asked) <= 2


def test_when_to_come_back_is_known(account: Account, store: S3Store) -> None:
    account.plan(*[Refused("SlowDown", 503, headers=(("Retry-After", "0"),))] * 2, Refused("SlowDown", 503, headers=(("Retry-After", "7"),)))
    with pytest.raises(CloudError, match="AWS is busy") as caught:
        store.read("file")
    assert caught.value.retry_after == 7.0


def test_what_is_not_there_is_named(account: Account, aws: Aws, store: S3Store) -> None:
    with pytest.raises(DataError, match=r"s3://bucket/train/x: there is no such object. Check the prefix: aws s3 ls s3://bucket/train/$"):
        store.read("x")
    with pytest.raises(NotFound, match="there is no bucket 'nobody'. Check its name: aws s3 ls"):
        aws.prefix("s3://nobody/tmp/")
    with pytest.raises(NotFound, match="vol-0123456789abcdef0.*may have been removed, or is in another region"):
        list(aws.volumes(VolumeIds=["vol-0123456789abcdef0"]))
    with pytest.raises(DataError, match="shorter than it should be"):
        store.read("file", 20_000, 20_010)


def test_a_name_that_no_bucket_can_have_is_told_in_a_line(account: Account, aws: Aws) -> None:
    store = open_store("s3://my bucket/train", retry=AT_ONCE)
    for ask in (lambda: aws.prefix("s3://my bucket/tmp/"), lambda: store.read("file")):
        with pytest.raises(CloudError, match="no bucket can have that name: 3 to 63 small letters, digits, dots and hyphens$"):
            ask()
    store.close()
    assert account.asked == []


# --- what the network does --------------------------------------------------------------------------------------------


def test_a_connection_that_drops_in_mid_file_goes_on_there(account: Account, store: S3Store) -> None:
    account.plan(Lost(after=4000), Lost(after=3000))
    assert store.read("file") == BODY and len(account.asked) == 3


def test_a_service_that_falls_silent_is_asked_again(account: Account, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto, "TIMEOUT", (10.0, 0.3))
    impatient = open_store("s3://bucket/train", retry=AT_ONCE)
    account.plan(Silent())
    assert impatient.read("file") == BODY and len(account.asked) == 2
    impatient.close()


@pytest.mark.parametrize("who", ["cloud", "loading"])
def test_nobody_there_may_pass(account: Account, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(CloudError, match=r"127\.0\.0\.1:9.*Check the network, AWS_REGION and AWS_ENDPOINT_URL") as caught:
        _ask(who)
    assert caught.value.retryable


# --- before the first call --------------------------------------------------------------------------------------------


def _ask(who: str) -> None:
    if who == "cloud":
        Aws(retry=AT_ONCE).resources()
    elif who == "loading":
        open_store("s3://bucket/train", retry=AT_ONCE).read("file")
    else:
        transfer("s3://bucket/train", "here", policy=AT_ONCE, dry_run=True)


def _no_credentials(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def _half_a_key(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def _no_profile(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")


def _broken_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "my config 🙂").write_text("region = here\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "my config 🙂"))


def _broken_program(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _no_credentials(monkeypatch, folder)
    program = f'"{sys.executable}" -c "raise SystemExit(7)"'
    (folder / "config").write_text(f"[default]\ncredential_process = {program}\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))


def _no_sign_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _no_credentials(monkeypatch, folder)
    monkeypatch.setattr("botocore.utils.SSOTokenLoader.__call__", _nothing_saved)
    (folder / "config").write_text("[default]\nsso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))


def _nothing_saved(*arguments: Any, **options: Any) -> Any:
    """As where nobody has signed in, whatever is in this user's own folder."""
    raise SSOTokenLoadError(error_msg="no token")


def _no_region(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("AWS_REGION", "eu central")


def _no_address(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")


@pytest.mark.parametrize("who", ["cloud", "loading", "transfer"])
@pytest.mark.parametrize(
    "spoil, says",
    [
        (_no_credentials, "no credentials. Run `aws configure`"),
        (_half_a_key, "no credentials. Run `aws configure`"),
        (_no_profile, r"profile \(nobody\) could not be found. Correct AWS_PROFILE"),
        (_broken_file, "my config 🙂.*Mend that file"),
        (_broken_program, "Error when retrieving credentials from custom-process.*Mend what gives the credentials"),
        (_no_sign_in, "the credentials have expired. Get new ones, with `aws sso login`"),
        (_no_region, "'eu central'.*Correct AWS_REGION"),
        (_no_address, "Look at AWS_REGION and AWS_ENDPOINT_URL"),
    ],
)
def test_what_is_set_up_wrongly_is_told(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str, spoil: Callable[[pytest.MonkeyPatch, Path], None], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil(monkeypatch, tmp_path)
    with pytest.raises(TransferError if who == "transfer" else CloudError, match=says) as caught:
        _ask(who)
    assert not caught.value.retryable and account.asked == []


def test_without_boto3_the_command_that_installs_it_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    for who, extra in (("cloud", "aws"), ("loading", "s3"), ("transfer", "s3")):
        with pytest.raises(ConfigError, match=rf'pip install "tinytorch\[{extra}\]"'):
            _ask(who)


def test_the_region_is_awss_variable_then_what_boto3_finds(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 by itself reads AWS_DEFAULT_REGION only; AWS's command line and s5cmd read AWS_REGION first."""

    def region(service: str, given: str | None = None) -> str:
        client = boto.client(service, "x", region=given)
        client.close()
        return str(client.meta.region_name)

    assert region("s3") == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert region("s3") == region("ec2") == "eu-north-1" and region("ec2", "eu-west-1") == "eu-west-1"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(TinyTorchError, match="no region is chosen. Set AWS_REGION"):
        region("ec2")
