"""What boto3 does with the embedded endpoint. Reads its keys from the environment; each check is a line of JSON."""

import io
import json
import os
import sys
import urllib.error
import urllib.request

import boto3
import boto3.s3.transfer
import botocore.config
import botocore.exceptions

asked = json.loads(os.environ["ORACLE"])
url, datasets, scratch = asked["url"], asked["datasets"], asked["scratch"]


def client(key, service="s3", region="us-east-1"):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key["accessKeyId"],
        aws_secret_access_key=key["secretAccessKey"],
        aws_session_token=key.get("sessionToken"),
        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def once(s3):
    """Adds the header of a write that must not replace, which this boto3 has no parameter for."""

    def add(params, **_):
        params["headers"]["If-None-Match"] = "*"

    for operation in ("PutObject", "CompleteMultipartUpload"):
        s3.meta.events.register(f"before-call.s3.{operation}", add)
    return s3


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got}, not {code}: {error}"
        return error
    except boto3.exceptions.S3UploadFailedError as error:
        assert code in str(error), f"no {code} in: {error}"
        return error
    raise AssertionError(f"it was not refused with {code}")


worker, owner, dispatcher, tester, writer = (
    asked[name] for name in ("worker", "owner", "dispatcher", "tester", "writer")
)
large = os.urandom(12 * 1024 * 1024)
parts = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)


def put_needs_the_header():
    error = refused("AccessDenied", client(writer).put_object, Bucket=datasets, Key="boto/a", Body=b"a")
    assert "If-None-Match: *" in str(error), str(error)
    refused("AccessDenied", once(client(worker)).put_object, Bucket=datasets, Key="boto/a", Body=b"a")
    s3 = once(client(writer))
    s3.put_object(Bucket=datasets, Key="boto/a", Body=b"first")
    refused("PreconditionFailed", s3.put_object, Bucket=datasets, Key="boto/a", Body=b"second")
    assert s3.get_object(Bucket=datasets, Key="boto/a")["Body"].read() == b"first"


def parts_need_the_header():
    for key in (writer, worker):
        refused("AccessDenied", client(key).upload_fileobj, io.BytesIO(large), datasets, "boto/large", Config=parts)
    s3 = once(client(writer))
    s3.upload_fileobj(io.BytesIO(large), datasets, "boto/large", Config=parts)
    got = s3.get_object(Bucket=datasets, Key="boto/large")
    assert got["ETag"].endswith('-3"'), got["ETag"]
    assert got["Body"].read() == large
    refused("PreconditionFailed", s3.upload_fileobj, io.BytesIO(large), datasets, "boto/large", Config=parts)


def writers_delete_nothing():
    for key in (writer, worker):
        s3 = client(key)
        refused("AccessDenied", s3.delete_object, Bucket=datasets, Key="boto/a")
        answer = s3.delete_objects(Bucket=datasets, Delete={"Objects": [{"Key": "boto/a"}]})
        assert [one["Code"] for one in answer["Errors"]] == ["AccessDenied"], answer
    assert client(owner).head_object(Bucket=datasets, Key="boto/a")["ContentLength"] == 5


def keys_are_any_bytes():
    s3 = client(tester)
    keys = ["boto/k/a", "boto/k/a/b", "boto/k/..", "boto/k/../x", "boto/k//", "boto/k/日本 %2F+&?#", "boto/k/" + "x" * 1017]
    for key in keys:
        s3.put_object(Bucket=scratch, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=scratch, Key=key)["Body"].read() == key.encode(), key
    refused("KeyTooLongError", s3.put_object, Bucket=scratch, Key="x" * 1025, Body=b"")


def pages_and_folders_are_listed():
    s3 = client(tester)
    for number in range(7):
        s3.put_object(Bucket=scratch, Key=f"boto/list/{number}/x", Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=scratch, Prefix="boto/list/", PaginationConfig={"PageSize": 2}
    )
    found = [one["Key"] for page in pages for one in page["Contents"]]
    assert found == [f"boto/list/{number}/x" for number in range(7)], found
    answer = s3.list_objects_v2(Bucket=scratch, Prefix="boto/list/", Delimiter="/")
    assert [one["Prefix"] for one in answer["CommonPrefixes"]] == [f"boto/list/{n}/" for n in range(7)], answer
    doomed = [{"Key": key} for key in found]
    assert "Errors" not in s3.delete_objects(Bucket=scratch, Delete={"Objects": doomed})
    assert s3.list_objects_v2(Bucket=scratch, Prefix="boto/list/")["KeyCount"] == 0


def links_are_good_for_what_they_say():
    s3 = client(worker)
    link = s3.generate_presigned_url("get_object", {"Bucket": datasets, "Key": "boto/a"}, ExpiresIn=60)
    # This boto3 signs links in the old way unless it is told the version; the endpoint knows the new one.
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=worker["accessKeyId"],
        aws_secret_access_key=worker["secretAccessKey"],
        config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    link = s3.generate_presigned_url("get_object", {"Bucket": datasets, "Key": "boto/a"}, ExpiresIn=60)
    assert urllib.request.urlopen(link).read() == b"first"
    try:
        urllib.request.urlopen(link.replace("boto/a", "boto/large"))
        raise AssertionError("a link opened another object")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error


def conditions_and_ranges_are_read():
    s3 = client(owner)
    etag = s3.head_object(Bucket=datasets, Key="boto/a")["ETag"]
    got = s3.get_object(Bucket=datasets, Key="boto/a", IfMatch=etag, Range="bytes=-2")
    assert got["Body"].read() == b"st" and got["ContentRange"] == "bytes 3-4/5", got
    refused("PreconditionFailed", s3.get_object, Bucket=datasets, Key="boto/a", IfMatch='"x"')
    refused("NoSuchKey", s3.get_object, Bucket=datasets, Key="boto/missing")
    refused("AccessDenied", client(worker).get_object, Bucket=datasets, Key="boto/missing")


def sessions_open_one_folder():
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
                "Resource": f"arn:aws:s3:::{datasets}/boto/session/*",
            }
        ],
    }
    role = {"RoleArn": asked["role"], "RoleSessionName": "boto", "DurationSeconds": 900}
    sts = client(dispatcher, "sts")
    given = sts.assume_role(Policy=json.dumps(policy), **role)["Credentials"]
    key = {
        "accessKeyId": given["AccessKeyId"],
        "secretAccessKey": given["SecretAccessKey"],
        "sessionToken": given["SessionToken"],
    }
    s3 = once(client(key))
    s3.put_object(Bucket=datasets, Key="boto/session/a", Body=b"a")
    s3.upload_fileobj(io.BytesIO(large), datasets, "boto/session/large", Config=parts)
    assert s3.get_object(Bucket=datasets, Key="boto/session/a")["Body"].read() == b"a"
    for key_outside in ("boto/sessions", "boto/b", "boto/session"):
        refused("AccessDenied", s3.put_object, Bucket=datasets, Key=key_outside, Body=b"")
    refused("AccessDenied", s3.get_object, Bucket=datasets, Key="boto/a")
    refused("AccessDenied", s3.delete_object, Bucket=datasets, Key="boto/session/a")
    refused("AccessDenied", s3.list_objects_v2, Bucket=datasets, Prefix="boto/session/")
    refused("InvalidToken", client({**key, "sessionToken": key["sessionToken"][:-4]}).get_object, Bucket=datasets, Key="x")
    refused("AccessDenied", client(worker, "sts").assume_role, Policy=json.dumps(policy), **role)
    refused("MalformedPolicyDocument", sts.assume_role, Policy="{}", **role)
    refused("ValidationError", sts.assume_role, Policy=json.dumps(policy) + " " * 2048, **role)


checks = [
    put_needs_the_header,
    parts_need_the_header,
    writers_delete_nothing,
    keys_are_any_bytes,
    pages_and_folders_are_listed,
    links_are_good_for_what_they_say,
    conditions_and_ranges_are_read,
    sessions_open_one_folder,
]
print(json.dumps({"boto3": boto3.__version__, "checks": len(checks)}))
for check in checks:
    why = None
    try:
        check()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    print(json.dumps({"name": check.__name__.replace("_", " "), "why": why}))
    sys.stdout.flush()
