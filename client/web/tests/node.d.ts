/** As much of Node as these tests use. */

declare module "node:test" {
  export const mock: {
    readonly timers: {
      enable(options: { readonly apis: readonly "setTimeout"[] }): void;
      tick(ms: number): void;
      reset(): void;
    };
  };
  export function test(name: string, body: () => void | Promise<void>): void;
}

declare module "node:assert/strict" {
  interface Assert {
    (value: unknown, message?: string): asserts value;
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    throws(body: () => unknown, expected?: new (...args: never[]) => Error): void;
    fail(message: string): never;
  }
  const assert: Assert;
  export default assert;
}
