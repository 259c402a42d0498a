/**
 * A request of a service, from the checked values of its form to what is filed: what is public, what is sealed and for
 * whom, and the papers beside it.
 *
 * With the fields of the form are sealed the key of the case, for which letters are sealed too, and the root's word for
 * this device. `prepare` knows no network: files are brought before (`attachmentsOf`), with the same secrets; keep what
 * it makes (`Wallet.begin`), then `file` it.
 */

import { toHex } from "../net/bytes";
import { type Attachment, attachmentOf, filesPaper } from "./attachments";
import { REPLY_KEY, replyKey } from "./case";
import { type Claim, showClaim } from "./claims";
import { type Service, split, type Values } from "./form";
import { DEVICE } from "./identity";
import type { Trust } from "./receipt";
import { fileTransaction, type Paper, type Secrets, type Submission, withPapers } from "./transaction";
import type { Me } from "./wallet";

/** The files that checked values name, as they are brought under these secrets. */
export function attachmentsOf(service: Service, kept: Values, secrets: Secrets): Attachment[] {
  const isFile = ({ schema }: Service["form"]["fields"][number]) =>
    schema.format === "file" || schema.items?.format === "file";
  const hashes = service.form.fields.filter(isFile).flatMap(({ name }) => kept[name] ?? []) as string[];
  return [...new Set(hashes)].map((hash) => attachmentOf(secrets.blobKey, hash));
}

/** What goes into it beside the values: `stream` from `streamOf`, `kept` from `check`. */
export interface Asked {
  readonly service: Service;
  readonly kept: Values;
  readonly stream: string;
  readonly minute: number;
  readonly me: Me;
  readonly trust: Trust;
  readonly secrets: Secrets;
  readonly claim?: Claim | null;
}

/** The signed submission; throws RangeError if it is too long, or no office is known that could read it. */
export async function prepare(asked: Asked): Promise<Submission> {
  const { service, kept, stream, minute, me, secrets, claim } = asked;
  const fields = split(service, kept);
  const submission = await fileTransaction({
    type: service.id,
    stream,
    minute,
    public: fields.public,
    private: [
      ...fields.private,
      { name: REPLY_KEY, value: toHex(replyKey(secrets).public) },
      { name: DEVICE, value: me.line },
    ],
    identity: me.device,
    offices: asked.trust.offices(stream),
    secrets,
  });
  const papers: (Paper | null)[] = [
    claim ? await showClaim(claim, me.seed, submission.filing) : null,
    await filesPaper(attachmentsOf(service, kept, secrets), submission.filing.key),
  ];
  return withPapers(
    submission,
    papers.filter((paper) => paper !== null),
  );
}
