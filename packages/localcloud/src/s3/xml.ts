/** The little XML that S3 answers are made of. */

/**
 * Text for an XML element. Characters that XML 1.0 has no place for are written as numeric references, as S3 does;
 * clients that list such keys ask for `encoding-type=url`.
 */
export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are legal in keys and are what is escaped here
  return text.replace(/[&<>"'\u0000-\u001f\u007f\ufffe\uffff]/g, (char) => {
    switch (char) {
      case "&":
        return "&amp;";
      case "<":
        return "&lt;";
      case ">":
        return "&gt;";
      case '"':
        return "&quot;";
      case "'":
        return "&apos;";
      default:
        return `&#x${(char.codePointAt(0) ?? 0).toString(16)};`;
    }
  });
}

export function element(name: string, text: string | number | boolean): string {
  return `<${name}>${escapeXml(String(text))}</${name}>`;
}

export const xmlDeclaration = '<?xml version="1.0" encoding="UTF-8"?>\n';

export function xmlDocument(root: string): string {
  return `${xmlDeclaration}${root}`;
}
