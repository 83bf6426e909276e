/** The wild cards of IAM: `*` stands for any characters, `?` for one. Pure, in time that no pattern can make explode. */

/** A pattern, taken apart: characters that mean themselves, and wild cards. */
export type Glob = readonly (string | typeof any | typeof one)[];

export const any = Symbol("*");
export const one = Symbol("?");

/** Of a text without policy variables. */
export function readGlob(text: string): Glob {
  return [...text].map((char) => (char === "*" ? any : char === "?" ? one : char));
}

export function matches(glob: Glob, text: string): boolean {
  const chars = [...text];
  let [inGlob, inText] = [0, 0];
  // Where the last `*` stood, and up to where of the text it was taken to reach: the only place to come back to.
  let [star, reached] = [-1, 0];
  while (inText < chars.length) {
    const piece = glob[inGlob];
    if (piece === any) {
      star = inGlob;
      reached = inText;
      inGlob += 1;
    } else if (piece !== undefined && (piece === one || piece === chars[inText])) {
      inGlob += 1;
      inText += 1;
    } else if (star !== -1) {
      reached += 1;
      inGlob = star + 1;
      inText = reached;
    } else {
      return false;
    }
  }
  while (glob[inGlob] === any) inGlob += 1;
  return inGlob === glob.length;
}
