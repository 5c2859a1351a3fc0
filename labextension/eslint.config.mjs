import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib', 'lib-test', 'node_modules', 'src/api/types.ts', '*.mjs'] },
  tseslint.configs.strict,
  tseslint.configs.stylistic,
  {
    plugins: { 'react-hooks': hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      'react-hooks/exhaustive-deps': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      // JupyterLab's convention for tokens and namespaces of command ids.
      '@typescript-eslint/no-namespace': 'off'
    }
  }
);
