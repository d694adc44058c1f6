/** What cannot be done, in a sentence for the person who typed it. */
export class Refusal extends Error {
  override name = "Refusal";
}
