/** Whether the origin of a URL stands in the document as it is: `https://api.example.com/x/${this.id}`. */
export function hasLiteralOrigin(source: string): boolean {
  return /^`?https?:\/\/[A-Za-z0-9.\-_[\]:]+(?:[/?#`]|$)/i.test(source.trim())
}
