/** A signing key that is made once a day signs as one that is made for each request. */
import { expect, test } from "vitest";
import { SigningKey, signature } from "./sigv4.ts";

const request = "GET\n/\n\nhost:s3.test\n\nhost\nUNSIGNED-PAYLOAD";
const scope = (time: string, region = "us-east-1") => ({ region, service: "s3", time });

test("a key that is kept signs as a new one does, on the same day, on the next one, and elsewhere", () => {
  const kept = new SigningKey("very-secret");
  const scopes = [
    scope("20260131T120000Z"),
    scope("20260131T235959Z"),
    scope("20260201T000000Z"),
    scope("20260201T000000Z", "eu-west-1"),
    scope("20260131T120000Z"),
  ];
  const signed = scopes.map((one) => kept.sign(one, request));
  expect(signed).toEqual(scopes.map((one) => signature("very-secret", one, request)));
  expect(new Set(signed).size).toBe(4);
});

test("the signature is that of the example in AWS' documentation of presigned links", () => {
  const credential = "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request";
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${credential}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host`;
  const canonical = `GET\n/test.txt\n${query}\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD`;
  const key = new SigningKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  expect(key.sign(scope("20130524T000000Z"), canonical)).toBe(
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  );
});
