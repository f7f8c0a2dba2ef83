"""boto3 as the project uses it: one way to make a client, and one meaning for whatever goes wrong with a call to AWS."""
from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinytorch.cloud.resource import NotFound
from tinytorch.errors import CloudError, ConfigError
from tinytorch.http import TIMEOUT, TRANSIENT, retry_after

__all__ = ["answered", "client", "refused"]

_SKEW = 240.0  # seconds that a clock may be wrong by; AWS allows five minutes, or fifteen

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_CLOCK = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_UNKNOWN = {
    "AuthFailure", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidToken", "MissingAuthenticationToken",
}  # fmt: skip
_FORBIDDEN = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OperationNotPermitted", "Blocked", "AllAccessDisabled"}
_BUSY = {
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "EC2ThrottledException", "SlowDown", "TooManyRequestsException",
    "RequestTimeout", "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "InsufficientInstanceCapacity",
}  # fmt: skip
_REGION = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_IN_USE = {"VolumeInUse", "InvalidSnapshot.InUse", "IncorrectState"}


def client(service: str, what: str, *, region: str | None = None, **options: Any) -> Any:
    """A client of boto3 for a service; `what` stands before its errors, and `options` are botocore's.

    The region is `region`, else `AWS_REGION`, as the command line of AWS and s5cmd read it, else what boto3 finds by itself:
    `AWS_DEFAULT_REGION`, or that of the profile. boto3's own retries are off, since two policies would multiply their tries.

    Raises: ConfigError without boto3; CloudError for a region, profile or address that can't be used.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        extra = "s3" if service == "s3" else "aws"
        raise ConfigError(f'{what} needs boto3. Install it: pip install "tinytorch[{extra}]"') from error
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=TIMEOUT[0], read_timeout=TIMEOUT[1], **options)
    try:
        return boto3.session.Session(region_name=region or os.environ.get("AWS_REGION") or None).client(service, config=config)
    except (BotoCoreError, ValueError) as error:
        raise refused(what, error) from error


@contextmanager
def answered(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with boto3 in the block into `refused(what, error)`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, ClientError, HTTPError) as error:
        raise refused(what, error) from error


def refused(what: str, error: Exception) -> CloudError:
    """What AWS answered to `what`, or why it could not be asked, as an error that says what to do; NotFound if it isn't there."""
    from botocore import exceptions

    answer: dict[str, Any] = getattr(error, "response", None) or {}
    said, about = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code, status = str(said.get("Code", "")), int(about.get("HTTPStatusCode", 0))
    headers: dict[str, str] = about.get("HTTPHeaders", {})
    text = " ".join((said.get("Message") or str(error)).split())
    in_use = code in _IN_USE
    is_busy = code in _BUSY or status in TRANSIENT
    advice: str | None = None
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        advice = "no credentials. Run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif isinstance(error, exceptions.CredentialRetrievalError):
        advice = f"{text}. Mend what gives the credentials, or choose others: AWS_PROFILE"
    elif isinstance(error, exceptions.ProfileNotFound):
        advice = f"{text}. Correct AWS_PROFILE, or make it: aws configure --profile NAME"
    elif isinstance(error, exceptions.ConfigParseError):
        advice = f"{text}. Mend that file, or name another: AWS_CONFIG_FILE"
    elif isinstance(error, exceptions.NoRegionError):
        advice = "no region is chosen. Set AWS_REGION, eu-central-1 for instance, or run `aws configure`"
    elif isinstance(error, exceptions.InvalidRegionError):
        advice = f"{text} Correct AWS_REGION; a region is called eu-central-1, for instance"
    elif isinstance(error, exceptions.ParamValidationError) and "bucket name" in text:
        advice = "no bucket can have that name: 3 to 63 small letters, digits, dots and hyphens"
    elif isinstance(error, ValueError):  # an address that is none, which boto3 tells so
        advice = f"{text}. Look at AWS_REGION and AWS_ENDPOINT_URL"
    elif code in _CLOCK or (code in _EXPIRED | _UNKNOWN and _skew(headers) > _SKEW):
        advice = f"this machine's clock differs from AWS's by {_skew(headers) / 60:.0f} minutes ({code}). Set it, best by a time server"
    elif code in _EXPIRED or isinstance(error, exceptions.SSOError | exceptions.TokenRetrievalError):
        advice = "the credentials have expired. Get new ones, with `aws sso login` for instance, and run this again"
    elif code == "OptInRequired":
        advice = f"this region can't be used ({text}). Choose another, AWS_REGION, or switch it on for the account"
    elif code in _UNKNOWN or status == 401:
        advice = f"the credentials aren't accepted ({code or status}). Check the keys, AWS_PROFILE, and this machine's clock"
    elif code in _REGION or status in (301, 307) or (status == 400 and code in ("400", "") and "x-amz-bucket-region" in headers):
        expected = re.search(r"expecting '([\w-]+)'", text)
        advice = f"the bucket is in another region. Set AWS_REGION to {headers.get('x-amz-bucket-region') or (expected and expected[1]) or 'its region'}"
    elif code in _FORBIDDEN or (status == 403 and not is_busy):
        operation = getattr(error, "operation_name", "")
        advice = f"not allowed ({code or status}). Ask whoever manages the account for the right{f' to {operation}' if operation else ''}"
    elif code == "NoSuchBucket":
        return NotFound(f"{what}: there is no bucket {said.get('BucketName', '')!r}. Check its name: aws s3 ls")
    elif status == 416:
        return NotFound(f"{what}: it is shorter than it should be. Write it again")
    elif code in ("NoSuchKey", "404"):
        return NotFound(f"{what}: there is no such object. Check the prefix: aws s3 ls {what.rpartition('/')[0]}/")
    elif code.endswith((".NotFound", ".NotFoundException")):
        return NotFound(f"{what}: {text}. It may have been removed, or is in another region (AWS_REGION)")
    elif in_use:
        advice = f"it is in use: {text}. Detach it, or remove what uses it, first"
    if advice:
        return CloudError(f"{what}: {advice}")
    return _failed(what, error, f"{text}{f' ({code})' if code else ''}", retry_after(headers.get("retry-after")), is_busy=is_busy)


def _failed(what: str, error: Exception, text: str, pause: float | None, *, is_busy: bool) -> CloudError:
    """The rest: what may pass, and what has no advice."""
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    passing = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError, HTTPError)
    is_network = isinstance(error, passing) and not isinstance(error, exceptions.SSLError)
    if is_busy:
        text += ". AWS is busy, and went on being so; try again in a few minutes"
    elif isinstance(error, exceptions.EndpointConnectionError):
        text += ". Check the network, AWS_REGION and AWS_ENDPOINT_URL"
    failed = CloudError(f"{what}: {text}", retryable=is_busy or is_network)
    failed.retry_after = pause
    return failed


def _skew(headers: dict[str, str]) -> float:
    """Seconds between this machine's clock and the one of whoever answered; 0 if it didn't say."""
    from email.utils import parsedate_to_datetime

    try:
        return abs(time.time() - parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (TypeError, ValueError):
        return 0.0
